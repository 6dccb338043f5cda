/* See attention_choice.h. */
#include "train/attention_choice.h"

#include "base/log.h"
#include "kernels.h"
#include "model/lm_slice.h"

bool attention_may_be_cudnn(const struct run_config *config, int64_t head_size)
{
    return config->train.attention != CONFIG_ATTENTION_OWN &&
           config->model.dtype == CONFIG_DTYPE_BF16 && (head_size == 64 || head_size == 128);
}

static enum status prepare(struct attention_ways *ways, const struct run_model *model,
                           const struct run_config *config)
{
    enum status status = OK;
    struct lm_slice slice;
    if (model->kernels->attention_prepare == NULL && ways->forward == ATTENTION_CUDNN)
        FAIL(ERR_ARGUMENT, "train.attention is cudnn, but device is cpu; set train.attention: "
                           "auto, or device: cuda");
    if (model->kernels->attention_prepare == NULL) goto out;
    const struct model_share *share = model->options.share;
    TRY(lm_slice_make(&slice, &model->config.lm, share != NULL ? share->index : 0,
                      share != NULL ? share->size : 1));
    TRY(model->kernels->attention_prepare(ways, config->data.max_tokens, config->data.max_length,
                                          slice.heads, slice.kv_heads, slice.head_size,
                                          model->stream));
out:
    return status;
}

static const char *name_of(enum attention_by by)
{
    return by == ATTENTION_CUDNN ? "cuDNN" : "this program's kernels";
}

enum status attention_choose(struct comm *comm, const struct run_model *model,
                             const struct run_config *config)
{
    enum status status = OK;
    static const enum attention_by by[] = {[CONFIG_ATTENTION_AUTO] = ATTENTION_MEASURED,
                                           [CONFIG_ATTENTION_CUDNN] = ATTENTION_CUDNN,
                                           [CONFIG_ATTENTION_OWN] = ATTENTION_OWN};
    const enum attention_by wanted = by[config->train.attention];
    struct attention_ways ways = {wanted, wanted, !config->train.deterministic}, first;
    TRY(comm_agree(comm, prepare(&ways, model, config)));
    if (!kernels_on_gpu(model->kernels)) goto out;
    first = ways;
    TRY(comm_broadcast(comm, &first, sizeof first, 0));
    if (first.forward != ways.forward || first.backward != ways.backward)
        status = prepare(&first, model, config);
    TRY(comm_agree(comm, status));
    log_info("attention: forward by %s, backward by %s", name_of(first.forward),
             name_of(first.backward));
out:
    return status;
}
