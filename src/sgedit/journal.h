/* What a run has done and paid for, item by item, so that a killed run loses nothing that was
 * finished: append-only files of frames, one a rank, each frame with its length and CRC.
 *
 * A frame is 48 bytes of header and a payload, little-endian:
 *     u64 marker, u32 kind, u32 size, i64 item, i64 previous, i64 cost (nano-units of money),
 *     u32 tokens, u32 crc32c of the other 44 bytes and the payload
 * `previous` is the item's frame before this one (a journal_place, 0: none), which may be in
 * another rank's file: from its last frame all that is known of an item is found.
 * A file begins with a header of 32 bytes: "RDJRNL1\n", u64 identity of the run, u64 n_items,
 * u32 0, u32 crc32c.
 *
 * Any number of ranks goes on with the files of any other number: the files are dealt over them to
 * be read, and what each item's last frame is becomes known to all. A tail that a killed run did
 * not finish is cut; a frame that is damaged although whole ones follow is passed over, counted
 * and named. */
#ifndef ROBIN_SGEDIT_JOURNAL_H
#define ROBIN_SGEDIT_JOURNAL_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"

enum journal_kind {
    JOURNAL_DRAFT = 1, /* of a drafter whose work is worth keeping */
    JOURNAL_INTENT,    /* a call is about to be paid for: the key of the call */
    JOURNAL_REPLY,     /* what came of it: the key, then the reply as it came */
    JOURNAL_BATCH,     /* of no item: where a batch of calls stands */
    JOURNAL_FINAL      /* the item is done */
};

#define JOURNAL_KEY_BYTES   32 /* SHA-256 of a request; first in an intent's and reply's payload */
#define JOURNAL_MAX_PAYLOAD (256u << 20)

/* Where a frame is: 0 nowhere; else file and offset, and above them how many frames of the item
 * there are, so that the largest place of an item is that of its last frame. */
typedef int64_t journal_place;

struct journal_frame {
    enum journal_kind kind;
    int64_t item; /* JOURNAL_BATCH: -1 */
    journal_place previous;
    int64_t cost_nano; /* money, in 1e-9 of the unit of the prices */
    uint32_t tokens;
    const void *payload; /* of journal_read: to free() by `owned` */
    uint32_t size;
    void *owned;
};
void journal_frame_release(struct journal_frame *frame);

struct journal_totals { /* of what earlier runs left; the same on all ranks */
    int64_t n_final, n_calls, n_tokens, cost_nano;
    int64_t n_open;    /* calls without a reply: they were in flight, and may be paid for twice */
    int64_t n_damaged; /* frames passed over */
    int64_t n_frames, n_bytes;
    int64_t cut_bytes; /* of unfinished tails */
};

struct journal; /* a rank's view: its own file to append to, all files to read */

struct journal_options {
    const char *directory;
    uint64_t identity; /* of configuration and input; files of another one are refused */
    int64_t n_items;
};

/* Collective. Creates the directory, reads what is there, opens this rank's file. ERR_ARGUMENT for
 * another identity or while another run is at work in it; ERR_FORMAT for a damaged file header. */
enum status journal_open(struct journal **journal_out, struct comm *comm,
                         const struct journal_options *options);
/* Whatever was appended is written, not synced. NULL is fine. */
void journal_close(struct journal *journal);

const struct journal_totals *journal_totals(const struct journal *journal);
/* The item's last frame of what was there at opening, and of what this rank appended since. */
journal_place journal_last(const struct journal *journal, int64_t item);
int journal_is_final(const struct journal *journal, int64_t item);

/* Appends behind the item's last frame (`previous` is set here). In memory until 1 MiB has
 * gathered or journal_sync, after which alone it holds. ERR_IO. */
enum status journal_append(struct journal *journal, const struct journal_frame *frame);
/* All that was appended is on the disk when this returns: one fdatasync for many frames. */
enum status journal_sync(struct journal *journal);

/* Reads a frame and checks it. Thread-safe beside other reads. ERR_FORMAT names file and byte. */
enum status journal_read(const struct journal *journal, journal_place place,
                         struct journal_frame *frame_out);

/* Collective, after the loop: every rank learns the last frames that the others appended. */
enum status journal_gather(struct journal *journal, struct comm *comm);

/* Frames of no item (JOURNAL_BATCH) in the order of file and place: 0 .. n-1. */
int64_t journal_n_batches(const struct journal *journal);
journal_place journal_batch(const struct journal *journal, int64_t index);

#endif
