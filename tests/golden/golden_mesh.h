/* The golden tool on several ranks: samples are dealt over dp, the language model is split over tp,
 * and what is compared is the whole again. */
#ifndef ROBIN_TESTS_GOLDEN_MESH_H
#define ROBIN_TESTS_GOLDEN_MESH_H

#include "golden.h"
#include "model/robin_model.h"
#include "support/batch_maker.h"

/* Samples first .. first + n - 1 of `total` are those of this rank's dp index. */
void golden_mesh_deal(const struct golden_options *options, int64_t total, int64_t *first_out,
                      int64_t *n_out);

/* A table and a buffer, of gradients or of weights, of the model as one rank would hold it. */
struct golden_whole {
    struct parameter_table *table;
    float *values;
};
/* Collective. Gradients summed over all ranks; weights put together from their slices. */
enum status golden_mesh_gradients(struct golden_whole *gradients_out,
                                  const struct golden_options *options, struct model *model);
enum status golden_mesh_weights(struct golden_whole *weights_out,
                                const struct golden_options *options, struct model *model);
void golden_whole_release(struct golden_whole *gradients);

/* Weighs the targets of this dp rank's batch by 1 / targets of all batches, which is the number
 * returned; gives losses of the dp ranks added up. Collective. */
enum status golden_mesh_weigh(const struct golden_options *options, struct made_batch *made,
                              int64_t *n_targets_out);
enum status golden_mesh_sum(const struct golden_options *options, struct model_result *result);

/* True where several ranks run; the family then reports that it is left out. */
bool golden_mesh_leaves(const struct golden_options *options, struct golden_report *report);

#endif
