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
#include "corpus/region_order.h"
#include "corpus/sample.h"
#include "text/box_text.h"
#include "text/chat.h"
#include "text/tokenizer.h"

struct task_draws {
    struct random_stream fixed;  /* of (seed, sample): the same in every epoch */
    struct random_stream access; /* of (seed, sample, epoch) */
    uint64_t n_fixed, n_access;  /* draws made so far */
    uint64_t epoch;              /* how often the sample was drawn before: subjects take turns */
    bool pinned;                 /* every choice takes element 0, every shuffle keeps the order */
};
struct task_draws task_draws(uint64_t seed, uint64_t sample, uint64_t epoch);

#define TASK_DEFAULT (-1) /* a limit: the task's own */

/* Which regions a conversation about one subject lists (robin.md 5). */
enum region_setup {
    REGION_SETUP_DRAWN,     /* one of the four, drawn */
    REGION_SETUP_SUBJECT,   /* the subject's own mentions */
    REGION_SETUP_MENTIONED, /* what any subject of the picture mentions */
    REGION_SETUP_OBJECTS,   /* all objects */
    REGION_SETUP_PROPOSALS  /* and the regions that no object covers */
};

/* What the released code does and ours does not, unless asked: see datasets/tasks.md. */
struct task_compat {
    bool angle_brackets;    /* all < and > are deleted from conversations */
    bool blank_picture;     /* text alone comes with a black picture of 384 x 384 */
    bool cot_relations;     /* an object has its relations in the first question only */
    bool description_line;  /* of a description, the first line behind its last ">: " */
    bool doubled_prefix;    /* regions inside questions: one prefix more at each access */
    bool mentioned_only;    /* a subject with a relation to what it does not mention is skipped */
    bool statement_wording; /* "Is the car part of the bed?" of "the car has as a part the bed" */
    bool unlisted_regions;  /* texts speak of regions that the list does not hold */
};

struct task_options {                                   /* start from task_options_default() */
    int64_t max_regions, max_relations, max_attributes; /* per picture, per subject, per object */
    int64_t max_turns;                                  /* question and answer pairs */
    int sg_mode;                                        /* sg: 1, 2 or 3; sg_detection: 0, 1, 2 */
    enum region_setup region_setup;                     /* relation, description, summary */
    bool no_description;            /* relation: without the turn that describes the subject */
    bool sort_by_box;               /* sg_detection: objects by x1, y1, x2, y2 */
    bool relevant_relations;        /* graph_literal_vqa: relations among the objects asked for */
    bool fresh_draws;               /* what the authors draw once at load is drawn in each epoch */
    const char *question_prefix;    /* sg_detection: before the question; NULL: none */
    enum region_order region_order; /* sg, psg: of the objects, on top of their shuffle */
    double min_region_keep;         /* REGION_ORDER_TRUNCATE: at least this share stays; 0: 0.7 */
    struct task_compat compat;
    bool box_text;   /* boxes behind <mask><pos> */
    bool keep_order; /* objects are not shuffled (evaluation) */
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
    bool plain;                  /* no chat: the last turn is a caption behind the picture */
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
/* With compat.blank_picture, a record of text alone gets the release's black picture. */
void sample_add_blank(struct record *record, const struct task_options *options);
enum status sample_build(struct sample *sample_out, const char **skipped_out, struct record *record,
                         const struct sample_request *request);

#endif
