/* One picture from draft to final graph: what it needs next, and what it makes of what it gets.
 * Everything is a pure function of the record, the draft and the replies, so an item that was
 * interrupted is run again from its journal and asks only for what is not there. */
#ifndef ROBIN_SGEDIT_ITEM_RUN_H
#define ROBIN_SGEDIT_ITEM_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "config/run_config.h"
#include "corpus/shard.h"
#include "sgedit/drafter.h"
#include "sgedit/edit_graph.h"
#include "sgedit/edit_request.h"
#include "sgedit/journal.h"
#include "sgedit/proposals.h"
#include "sgedit/teacher.h"

struct item_tools { /* what all items of a rank share; borrowed */
    const struct run_config *config;
    const struct corpus *corpus;
    const struct journal *journal;
    struct drafter *drafter;
    struct teacher *teacher;  /* NULL: none edits */
    struct teacher *verifier; /* NULL: none judges */
};

enum item_need { ITEM_NEEDS_DRAFT, ITEM_NEEDS_CALL, ITEM_NEEDS_REPLY, ITEM_IS_DONE };
enum item_stage { ITEM_DRAFTING, ITEM_EDITING, ITEM_FILTERING, ITEM_ENDED };

struct stored_reply {
    unsigned char key[JOURNAL_KEY_BYTES];
    enum teacher_outcome outcome;
    char *raw;
    size_t size;
};

struct item {
    int64_t number;
    enum item_need need;
    enum item_stage stage;
    bool submitted; /* to the drafter */
    struct record record;
    struct edit_graph graph;
    struct proposals proposals;
    int64_t filter; /* of the configuration, next */
    bool *decided;
    int64_t *judged, n_judged; /* relations that the verifier is asked about */
    int attempt;
    struct teacher *asked;    /* of ITEM_NEEDS_CALL: whom */
    struct teacher_call call; /* and what */
    unsigned char key[JOURNAL_KEY_BYTES];
    struct stored_reply *stored; /* of earlier runs */
    int64_t n_stored;
    bool refused; /* by the teacher, for the counts */
};

/* Reads the record and what the journal has, and advances. What is wrong with this picture alone
 * becomes the graph's failure; an error is one that ends the run. */
enum status item_begin(struct item *item, int64_t number, const struct item_tools *tools);
void item_release(struct item *item);

enum status item_take_draft(struct item *item, const struct draft *draft,
                            const struct item_tools *tools);
enum status item_take_reply(struct item *item, const struct teacher_reply *reply,
                            const struct item_tools *tools);

/* Of ITEM_IS_DONE: what the journal keeps, to free(). */
char *item_result(const struct item *item);

/* A reply as a frame's payload, to free(), and its size. */
char *item_reply_payload(const struct item *item, const struct teacher_reply *reply,
                         size_t *size_out);

#endif
