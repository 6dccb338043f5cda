/* ROBIN: ConvNeXt tower -> mask extractor + projector -> splice -> Qwen2 LM -> loss, forward and
 * backward. Knows order of operations and shapes; nothing of ranks, files or steps.
 * svg/model/robin_arch.py is the reference. */
#ifndef ROBIN_MODEL_ROBIN_MODEL_H
#define ROBIN_MODEL_ROBIN_MODEL_H

#include "base/status.h"
#include "model/batch.h"
#include "model/parameters.h"

struct kernels;
struct model_share;
struct stream;
struct model;

/* The largest micro-batch the activation memory is planned for. */
struct model_limits {
    int64_t max_images, max_regions, max_sequences, max_tokens, max_targets;
};

struct model_options {
    struct model_limits limits;
    bool trainable[N_MODULES];
    bool backward;  /* false: inference only, no gradients and no saved activations at all */
    bool recompute; /* activation recompute per block: block inputs are kept, the rest is computed
                       again; same bits */
    int64_t
        gradient_windows;    /* the layers' gradients take turns in so many places, which hooks must
                                 empty; 0: each has its own */
    bool updates_on_gpu;     /* fp32 weights stand there, for model_gpu_weights; only on one */
    bool lm_matrices_frozen; /* of a trainable LM only norms and biases train */
    /* Which part of the language model this is, and what the others do (lm_slice.h); NULL: it is
     * the whole. Copied. */
    const struct model_share *share;
    int64_t loss_chunk_rows,
        loss_chunk_vocab; /* logits are held [rows, vocab] at a time; 0: chosen by the planner */
};

/* What memory a model takes, by kind, in bytes: planned by the same code that lays it out.
 * Weights include the tables of RoPE; activations live from the forward to the backward; workspace
 * is scratch that modules share. */
struct model_memory {
    size_t weights, gradients, activations, workspace;
    size_t by_module[N_MODULES]; /* of the activations */
};

/* Checks the sizes and computes the memory without taking it. */
enum status model_plan(struct model_memory *memory_out, const struct model_config *config,
                       const struct model_options *options, const struct kernels *kernels);
enum status model_create(struct model **model_out, const struct model_config *config,
                         const struct model_options *options, const struct kernels *kernels,
                         struct stream *stream);
void model_destroy(struct model *model);

/* Bytes of activations and workspace that the batches so far needed at most; never more than the
 * plan. */
size_t model_memory_used(const struct model *model);

const struct parameter_table *model_parameters(const struct model *model);
const struct model_config *model_config_of(const struct model *model);
const struct model_options *model_options_of(const struct model *model);
/* Who holds the model together with this sharer (lm_slice.h); size 1: nobody. */
const struct model_share *model_share_of(const struct model *model);
float *model_weights(struct model *model); /* flat, [n_weight_elements] */
float *
model_gradients(struct model *model); /* flat, [n_gradient_elements]; NULL without backward */
void model_zero_gradients(struct model *model);
/* With updates_on_gpu: the fp32 weights and gradients there, for kernels on the model's stream.
 * Weights are the host's, and may be changed until the next run; the host's are brought when
 * model_weights asks. Whoever changes them sees to what the kernels read of them in bf16. */
enum status model_gpu_weights(struct model *model, float **weights_out);
/* Those bf16 weights, at the same places; NULL where the kernels read fp32. */
uint16_t *model_gpu_rounded(const struct model *model);
/* Whether the kernels read elements first .. first + n - 1 in bf16 alone. */
bool model_reads_rounded(const struct model *model, int64_t first, int64_t n);
/* Makes those of elements first .. first + n - 1 from the fp32 ones, on `stream`. */
enum status model_round_weights(struct model *model, int64_t first, int64_t n,
                                struct stream *stream);
float *model_gpu_gradients(const struct model *model);

/* Called with tensors as the forward makes them (golden tests, `predict`): `name` such as "res4",
 * "image_tokens", "t", "s", "inputs_embeds", "hidden.layer3", "attention.layer0", "mlp.layer0",
 * "hidden.final_norm", "token_loss"; data f32 [rows, columns]. Of a shared model maps and pooled
 * features are those of this sharer's images, everything else is whole. The last two have the rows
 * of the targets, and come in several pieces when the loss is computed in chunks of rows. */
struct model_observer {
    void (*see)(void *context, const char *name, const float *data, int64_t rows, int64_t columns);
    void *context;
    const char *only; /* NULL: every tensor; else this one alone, and the others cost nothing */
};

/* What others do with weights and gradients while the model runs: stages are those of the parameter
 * table, walked downwards in the forward and upwards in the backward. */
struct model_hooks {
    void *context;
    /* Before the weights of a stage are read; a failure ends the step. */
    enum status (*weights_needed)(void *context, int64_t stage);
    /* Before gradients of a layer are added to: where they take turns (gradient_windows), the place
     * must be free, and zero. */
    enum status (*gradients_needed)(void *context, int64_t stage);
    /* The gradients up to this stage are complete for this batch. Not called for stages that a
     * batch has no need of: all are complete when model_step comes back. */
    void (*gradients_done)(void *context, int64_t stage);
};
/* NULL: none (so it is at first). Copied. */
void model_set_hooks(struct model *model, const struct model_hooks *hooks);

/* Sharers of a model call model_step and model_logits together, with the same batch; each computes
 * the images batch_share gives it, and all get the same results. */

/* Loss of the micro-batch: loss_sum = sum of token losses (unweighted), weighted_loss = sum of
 * target_weight * loss. Adds the gradient of weighted_loss to the flat gradients when `backward`.
 * ERR_LIMIT if the batch exceeds the limits. */
struct model_result {
    double loss_sum;
    double weighted_loss;
};
enum status model_step(struct model *model, const struct model_batch *batch, bool backward,
                       const struct model_observer *observer, struct model_result *result_out);

/* Forward only; logits [N, vocab] f32 of the rows listed in batch->target_row (targets are not
 * read). */
enum status model_logits(struct model *model, const struct model_batch *batch,
                         const struct model_observer *observer, float *logits);

/* The rows that the language model would read, without running it: words, image and region tokens
 * of the batch, rows [T, D] f32 written. Targets are not read. A sharer does it alone, for all
 * images: words that are not in its part of the vocabulary are zeros. */
enum status model_embed(struct model *model, const struct model_batch *batch, float *rows);
/* What the model computes with. */
const struct kernels *model_kernels(const struct model *model);
struct stream *model_stream(const struct model *model);

#endif
