/* Tasks: what is asked about a record, and the conversation that answers it. A task knows records
 * and sentences, nothing of ids; sample_build turns its conversation into a sample.
 *
 * Every draw is a pure function of (seed, sample, epoch): a record gives the same conversation on
 * every rank and after every resume. */
#ifndef ROBIN_CORPUS_TASK_H
#define ROBIN_CORPUS_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "base/status.h"
#include "corpus/record.h"
#include "corpus/sample.h"
#include "text/box_text.h"
#include "text/chat.h"
#include "text/tokenizer.h"

struct task_draws {
    struct random_stream fixed;  /* of (seed, sample): the same in every epoch */
    struct random_stream access; /* of (seed, sample, epoch) */
    uint64_t n_fixed, n_access;  /* draws made so far */
    bool pinned;                 /* every choice takes element 0, every shuffle keeps the order */
};
struct task_draws task_draws(uint64_t seed, uint64_t sample, uint64_t epoch);

#define TASK_DEFAULT (-1) /* a limit: the task's own */

struct task_options {                                   /* start from task_options_default() */
    int64_t max_regions, max_relations, max_attributes; /* per picture, per subject, per object */
    int64_t max_turns;                                  /* question and answer pairs */
    int sg_mode;                                        /* 1, 2 or 3 */
    bool box_text;                                      /* boxes behind <mask><pos> */
    bool keep_order;                                    /* objects are not shuffled (evaluation) */
    struct box_format box_format;
    const char *const *ignored_predicates; /* relations left out, e.g. "to the left of" */
    int64_t n_ignored_predicates;
    struct chat_options chat;
};
struct task_options task_options_default(void);

struct task_sample { /* zeroed is empty and releasable */
    struct conversation conversation;
    int64_t *regions; /* [n_regions] in the order of <mask>: indices into record.regions; -1: the
                         whole picture */
    int64_t n_regions;
    bool uses_image;
    const char *skipped;         /* why this record has nothing for this task; NULL: it has */
    int64_t n_dropped_relations; /* beyond a limit, ignored, or to an object that was cut */
};
void task_sample_release(struct task_sample *sample);

struct task {
    const char *name;    /* in mixtures: "sg", "psg", "relation", ... */
    const char *purpose; /* one sentence */
    int64_t max_regions, max_relations, max_attributes, max_turns; /* defaults */
    enum status (*make)(struct task_sample *sample, const struct record *record,
                        const struct task_options *options, struct task_draws *draws);
};
/* NULL if there is none of that name. */
const struct task *task_find(const char *name);
/* All of them, for help texts. */
const struct task *const *task_list(int64_t *n_out);

/* The conversation alone. Refuses (ERR_FORMAT naming record and field) indices out of range and
 * text that holds a control token (<|im_end|>, <mask>, <image>, ...): only the formatter may
 * write those. A record without anything for the task is OK with sample_out->skipped set. */
enum status task_make(struct task_sample *sample_out, const struct record *record,
                      const struct task *task, const struct task_options *options,
                      struct task_draws draws);

/* The whole way: conversation, ids, labels, regions. Takes over *record (left zeroed) unless it
 * fails. *skipped_out: NULL, or why there is no sample (sample_out is then empty). */
struct sample_request {
    uint64_t id; /* goes into the sample */
    const struct task *task;
    const struct tokenizer *tokenizer;
    const struct task_options *options;
    struct task_draws draws;
};
enum status sample_build(struct sample *sample_out, const char **skipped_out, struct record *record,
                         const struct sample_request *request);

#endif
