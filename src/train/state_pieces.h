/* Which elements of weights and optimizer state a rank holds, as runs of whole tensors: what
 * checkpoints are made of and read by. */
#ifndef ROBIN_TRAIN_STATE_PIECES_H
#define ROBIN_TRAIN_STATE_PIECES_H

#include "checkpoint/checkpoint_shard.h"
#include "checkpoint/run_checkpoint.h"
#include "train/train_step.h"

extern const enum optimizer_state state_of_part[CHECKPOINT_PARTS]; /* of all but weights */

/* The tensors of a checkpoint, the same on every mesh: weights of all parameters, then each kind of
 * state that is kept, of those that learn. Names are borrowed from the model. */
struct state_tensors { /* zeroed is releasable */
    struct checkpoint_tensor *tensors;
    int64_t n;
};
enum status state_tensors_list(struct state_tensors *list, const struct train_parts *parts);
void state_tensors_release(struct state_tensors *list);

/* What this rank writes of them: its shards; of what several ranks hold alike an even part. All
 * ranks together write every element once. */
struct state_sources { /* zeroed is releasable */
    struct checkpoint_source *sources;
    int64_t n;
};
void state_sources_make(struct state_sources *sources, const struct train_parts *parts,
                        const struct state_tensors *list);
void state_sources_release(struct state_sources *sources);

/* What this rank wants of a checkpoint. */
struct state_requests { /* zeroed is releasable */
    struct checkpoint_request *requests;
    int64_t n;
};
void state_request_weight(struct state_requests *requests, const struct train_parts *parts,
                          const struct parameter *parameter, int64_t tensor);
/* Of one parameter, the part in this rank's shards. */
void state_request_values(struct state_requests *requests, const struct train_parts *parts,
                          const struct optimizer_span *span, enum optimizer_state state,
                          int64_t tensor);
void state_requests_release(struct state_requests *requests);

#endif
