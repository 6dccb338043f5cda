/* Finding a backend by name, and naming what it cannot do. The tables themselves stand in
 * ref/kernels_ref.c and cpu/kernels_cpu.c. */
#include "kernels.h"

#include <stdbool.h>
#include <string.h>

#include "base/text_buffer.h"

typedef enum status (*any_entry)(void);

#define ENTRY(entry)                                                                               \
    {                                                                                              \
#entry, offsetof(struct kernels, entry)                                                    \
    }

static const struct {
    const char *name;
    size_t offset;
} entries[] = {
    ENTRY(linear_forward),
    ENTRY(linear_backward_input),
    ENTRY(linear_backward_weight),
    ENTRY(embedding_forward),
    ENTRY(embedding_backward),
    ENTRY(rows_scatter),
    ENTRY(rows_gather),
    ENTRY(rmsnorm_forward),
    ENTRY(rmsnorm_backward),
    ENTRY(layernorm_forward),
    ENTRY(layernorm_backward),
    ENTRY(norm_workspace),
    ENTRY(add_rmsnorm_forward),
    ENTRY(rope),
    ENTRY(rope_backward),
    ENTRY(column_workspace),
    ENTRY(attention_forward),
    ENTRY(attention_backward),
    ENTRY(attention_workspace),
    ENTRY(swiglu_forward),
    ENTRY(swiglu_backward),
    ENTRY(gelu_forward),
    ENTRY(gelu_backward),
    ENTRY(gelu_bias_backward),
    ENTRY(relu_forward),
    ENTRY(relu_backward),
    ENTRY(add),
    ENTRY(widen),
    ENTRY(narrow),
    ENTRY(patch_unfold),
    ENTRY(patch_fold),
    ENTRY(depthwise7_forward),
    ENTRY(depthwise7_backward_input),
    ENTRY(depthwise7_backward_weight),
    ENTRY(depthwise7_workspace),
    ENTRY(layer_scale_forward),
    ENTRY(layer_scale_backward),
    ENTRY(mask_resize),
    ENTRY(mask_pool_forward),
    ENTRY(mask_pool_backward),
    ENTRY(cross_entropy_stats),
    ENTRY(cross_entropy_rescale),
    ENTRY(cross_entropy_loss),
    ENTRY(cross_entropy_gradient),
    ENTRY(adamw_parts),
    ENTRY(sum_squares),
    ENTRY(sum_squares_blocks),
    ENTRY(running_mean),
    ENTRY(scale),
    ENTRY(linear_rows),
    ENTRY(cache_bytes),
    ENTRY(cache_store),
    ENTRY(cache_copy),
    ENTRY(attention_cached),
    ENTRY(choose_tokens),
    ENTRY(attention_prepare),
    ENTRY(products_measure),
    ENTRY(products_use),
    ENTRY(products_identity),
};

#define N_ENTRIES (sizeof entries / sizeof entries[0])

/* Everything in the struct after name and dtype is an entry: none may be left out above. */
_Static_assert(sizeof(struct kernels) - offsetof(struct kernels, linear_forward) ==
                   N_ENTRIES * sizeof(any_entry),
               "the list of entries must name every entry of struct kernels");

static const struct kernels *const tables[] = {
    &kernels_ref,      &kernels_cpu,      &kernels_cuda,
    &kernels_ref_bf16, &kernels_cpu_bf16, &kernels_cuda_bf16,
};

#define N_TABLES (sizeof tables / sizeof tables[0])

const struct kernels *kernels_find(const char *name)
{
    for (size_t i = 0; i < N_TABLES; i++)
        if (tables[i] != NULL && strcmp(tables[i]->name, name) == 0) return tables[i];
    return NULL;
}

const struct kernels *kernels_in(const struct kernels *kernels, enum dtype dtype)
{
    const size_t n = strcspn(kernels->name, "-");
    if (kernels->dtype == dtype) return kernels;
    for (size_t i = 0; i < N_TABLES; i++)
        if (tables[i] != NULL && tables[i]->dtype == dtype && strcspn(tables[i]->name, "-") == n &&
            strncmp(tables[i]->name, kernels->name, n) == 0)
            return tables[i];
    return NULL;
}

bool kernels_on_gpu(const struct kernels *kernels)
{
    return strcmp(kernels->device, "cpu") != 0;
}

/* Of the entries of decoding, or of all others. */
static char *missing(const struct kernels *kernels, bool decoding)
{
    struct text_buffer names = {0};
    for (size_t i = 0; i < N_ENTRIES; i++) {
        if ((entries[i].offset >= offsetof(struct kernels, linear_rows)) != decoding) continue;
        if (entries[i].offset >= offsetof(struct kernels, attention_prepare)) continue;
        any_entry entry;
        memcpy(&entry, (const char *)kernels + entries[i].offset, sizeof entry);
        if (entry == NULL) text_printf(&names, names.length ? ", %s" : "%s", entries[i].name);
    }
    return names.length ? text_take(&names) : NULL;
}

char *kernels_missing(const struct kernels *kernels)
{
    return missing(kernels, false);
}

char *kernels_missing_decoding(const struct kernels *kernels)
{
    return missing(kernels, true);
}
