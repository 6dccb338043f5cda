/* One file of the journal: frames as bytes. */
#ifndef ROBIN_SGEDIT_JOURNAL_FILE_H
#define ROBIN_SGEDIT_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "sgedit/journal.h"

#define JOURNAL_FRAME_BYTES  48
#define JOURNAL_HEADER_BYTES 32

/* A place is n_frames << 52 | file << 40 | offset: 2047 frames an item, 4096 files, 1 TiB each. */
#define JOURNAL_MAX_FILES  4095
#define JOURNAL_MAX_OFFSET ((int64_t)1 << 40)
#define JOURNAL_MAX_STEPS  2047
journal_place journal_place_of(int64_t n_frames, int64_t file, int64_t offset);
int64_t journal_place_steps(journal_place place);
int64_t journal_place_file(journal_place place);
int64_t journal_place_offset(journal_place place);

/* header [JOURNAL_FRAME_BYTES] of the frame, its checksum over the payload too. */
void journal_frame_encode(unsigned char *header, const struct journal_frame *frame);
/* False unless marker, kind and size can be those of a frame. The payload is not looked at. */
bool journal_frame_decode(struct journal_frame *frame, const unsigned char *header);
bool journal_frame_holds(const unsigned char *header, const void *payload, uint32_t size);

void journal_header_encode(unsigned char *header, uint64_t identity, int64_t n_items);
/* ERR_FORMAT, ERR_ARGUMENT for another run's. */
enum status journal_header_check(const unsigned char *header, uint64_t identity, int64_t n_items,
                                 const char *path);

struct journal_walk { /* of journal_file_walk */
    /* Called for each whole frame, in order. */
    enum status (*take)(void *context, int64_t offset, const struct journal_frame *frame);
    void *context;
    int64_t end; /* behind the last whole frame, written */
    int64_t n_damaged, n_frames;
};
/* Reads the mapped file from the first frame on. */
enum status journal_file_walk(struct journal_walk *walk, const unsigned char *bytes, size_t size,
                              const char *path);

#endif
