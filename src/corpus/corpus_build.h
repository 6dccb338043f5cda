/* Many records into a corpus: items of a source are cut into shards of a fixed number, and each
 * shard is a pure function of its items, so any number of ranks makes the same files. */
#ifndef ROBIN_CORPUS_CORPUS_BUILD_H
#define ROBIN_CORPUS_CORPUS_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "corpus/corpus_share.h"
#include "corpus/corpus_stage.h"
#include "corpus/record.h"

struct item_drop {      /* parts of an item that were left out */
    const char *reason; /* one word */
    char *why;
    int64_t count;
};

struct item_note {      /* what is worth telling about one item; zeroed is releasable */
    const char *reason; /* while set, a failure skips the item and is counted under this word; NULL:
                           a failure ends the build */
    int64_t n_cut_boxes; /* that stuck out of the picture and were cut to it */
    struct item_drop *drops;
    int64_t n_drops;
};
void item_note_release(struct item_note *note);

/* A part of the item is left out, the rest stays. One line of the list each up to a thousand for an
 * item; what follows is counted with the last line of its reason. */
void item_note_drop(struct item_note *note, const char *reason, const char *why);

struct record_source { /* zeroed is releasable */
    int64_t n_items;
    void *context;
    /* Item 0 .. n_items-1 as a record; ERR_MEMORY always ends the build. Thread-safe. */
    enum status (*make)(void *context, int64_t item, struct record *record_out,
                        struct item_note *note);
    void (*release)(void *context);
};
void record_source_release(struct record_source *source);

struct build_options {
    int64_t shard_items;
    int n_threads;            /* that make records, >= 1; the files do not depend on it */
    double max_skipped;       /* share of the items, 0 .. 1 */
    double max_dropped;       /* share of the objects, relations and texts, 0 .. 1 */
    const char *const *share; /* [n_share] folders of corpora whose pictures are not stored again */
    int64_t n_share;
    const char *identity; /* what the build is made of, one line: an interrupted build of the same
                             goes on; NULL: none does */
};

struct build_summary { /* zeroed is releasable */
    bool begun;        /* the partial folder was made: a failure is no refusal any more */
    bool refused;      /* too much of the input was bad, and nothing is left */
    int64_t n_items, n_records, n_skipped, n_changed;
    int64_t n_parts, n_dropped; /* objects, relations and texts: in the records, left out */
    struct text_buffer reasons; /* "image 3, annotation 1" */
    struct text_buffer dropped; /* "box 2" */
};
void build_summary_release(struct build_summary *summary);

int64_t corpus_build_n_shards(const struct record_source *source,
                              const struct build_options *options);

struct build_watch; /* tells people how far it is; NULL: nobody */

/* Makes one shard, and its list of notes if there are any, in the partial folder of `stage`. One
 * that is there already, from a build that was interrupted, is kept. `known` (NULL: none): pictures
 * of other corpora. */
enum status corpus_build_shard(const struct record_source *source, const struct corpus_stage *stage,
                               const struct build_options *options, int64_t shard,
                               const struct picture_index *known, struct build_watch *watch);

/* Gathers the notes (notes.jsonl of the corpus), counts what was skipped and dropped, and commits.
 * `share` NULL: no pictures of others. With more left out than allowed: ERR_FORMAT, and the list
 * stays in DIRECTORY.skipped.jsonl. One process. */
enum status corpus_build_finish(const struct record_source *source, struct corpus_stage *stage,
                                const struct build_options *options,
                                const struct corpus_share *share, struct build_summary *summary);

/* All of it over the ranks of `comm`. Collective; source and options are equal on all ranks. On
 * failure nothing is left under `directory`; of a build with an identity that the system stopped
 * (ERR_IO: a full disk) the shards stay for the next try. The summary's counts are rank 0's. */
enum status corpus_build(struct comm *comm, const struct record_source *source,
                         struct corpus_stage *stage, const struct build_options *options,
                         struct build_summary *summary);

#endif
