/* Import: every tensor of the sources finds its parameter, or the import is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_whole.h"
#include "checkpoint/weight_files.h"
#include "jobs/weight_exchange.h"

#define TOWER_PREFIX   "model.vision_tower.vision_tower."
#define CHUNK_ELEMENTS (1 << 20)

struct import {
    const struct model_config *config;
    const struct parameter_table *table;
    float *weights;
    const char **given_by; /* [n_parameters] path of the source of each; NULL: none yet */
    int64_t n_passed_over;
};

/* What published checkpoints carry that is no parameter of ours. */
static bool passed_over(const char *name)
{
    static const char *const prefixes[] = {
        "text.",           "transformer.", "token_embedding.", "ln_final.", "positional_embedding",
        "text_projection", "logit_scale",  "logit_bias",       "attn_mask"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) return true;
    return strstr(name, ".rotary_emb.inv_freq") != NULL;
}

static void shape_text(struct text_buffer *text, const int64_t *dims, int n_dims)
{
    text_append(text, "[");
    for (int d = 0; d < n_dims; d++)
        text_printf(text, "%s%lld", d > 0 ? ", " : "", (long long)dims[d]);
    text_append(text, "]");
}

static enum status check_shape(const struct parameter *parameter, struct weight_tensor source)
{
    enum status status = OK;
    struct text_buffer wanted = {0}, found = {0};
    bool same = source.tensor->n_dims == parameter->n_dims;
    for (int d = 0; same && d < parameter->n_dims; d++)
        same = source.tensor->dims[d] == parameter->dims[d];
    if (same) goto out;
    shape_text(&wanted, parameter->dims, parameter->n_dims);
    shape_text(&found, source.tensor->dims, source.tensor->n_dims);
    FAIL(ERR_SHAPE, "%s: %s has shape %s; the model's config makes it %s",
         safetensors_path(source.file), source.tensor->name, text_of(&found), text_of(&wanted));
out:
    text_release(&wanted);
    text_release(&found);
    return status;
}

static enum status read_tensor(struct weight_tensor source, float *out)
{
    enum status status = OK;
    int64_t n = source.tensor->n_elements;
    TRY_WHERE(safetensors_read_float(source.file, source.tensor, out, 0, n), "%s: %s",
              safetensors_path(source.file), source.tensor->name);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            FAIL(ERR_FORMAT, "%s: %s[%lld] is not a finite number", safetensors_path(source.file),
                 source.tensor->name, (long long)i);
out:
    return status;
}

/* lm_head.weight beside tied embeddings: some writers keep it; it must then be the same. */
static enum status check_tied_head(const struct import *import, struct weight_tensor head)
{
    enum status status = OK;
    float *chunk = NULL;
    const struct parameter *embedding = parameter_find(import->table, "model.embed_tokens.weight");
    const float *expected = import->weights + embedding->offset;
    if (import->given_by[embedding - import->table->parameters] == NULL)
        FAIL(ERR_FORMAT, "%s: has lm_head.weight but no source has model.embed_tokens.weight",
             safetensors_path(head.file));
    TRY(check_shape(embedding, head));
    chunk = memory_new(CHUNK_ELEMENTS, sizeof *chunk);
    for (int64_t first = 0; first < head.tensor->n_elements; first += CHUNK_ELEMENTS) {
        int64_t n = head.tensor->n_elements - first;
        if (n > CHUNK_ELEMENTS) n = CHUNK_ELEMENTS;
        TRY(safetensors_read_float(head.file, head.tensor, chunk, first, n));
        if (memcmp(chunk, expected + first, (size_t)n * sizeof *chunk) != 0)
            FAIL(ERR_FORMAT,
                 "%s: lm_head.weight differs from the embeddings although model.lm.tied is true; "
                 "set model.lm.tied=false",
                 safetensors_path(head.file));
    }
out:
    free(chunk);
    return status;
}

static enum status import_tensor(struct import *import, struct weight_tensor source)
{
    enum status status = OK;
    const char *name = source.tensor->name;
    char *prefixed = NULL;
    const struct parameter *parameter = parameter_find(import->table, name);
    if (parameter == NULL && strncmp(name, "visual.", 7) == 0) {
        prefixed = text_format("%s%s", TOWER_PREFIX, name);
        parameter = parameter_find(import->table, prefixed);
    }
    if (parameter == NULL && passed_over(name)) {
        import->n_passed_over++;
        goto out;
    }
    if (parameter == NULL)
        FAIL(ERR_FORMAT, "%s: %s is no parameter of this model; is model.* of the config right?",
             safetensors_path(source.file), name);
    const char **given_by = &import->given_by[parameter - import->table->parameters];
    if (*given_by != NULL)
        FAIL(ERR_FORMAT, "%s: %s was already given by %s", safetensors_path(source.file), name,
             *given_by);
    TRY(check_shape(parameter, source));
    TRY(read_tensor(source, import->weights + parameter->offset));
    *given_by = safetensors_path(source.file);
out:
    free(prefixed);
    return status;
}

static enum status import_source(struct import *import, const struct weight_files *files)
{
    enum status status = OK;
    struct weight_tensor tied_head = {NULL, NULL};
    for (int64_t i = 0; i < weight_files_count(files); i++) {
        struct weight_tensor source = weight_files_at(files, i);
        if (import->config->lm.tied && strcmp(source.tensor->name, "lm_head.weight") == 0)
            tied_head = source;
        else
            TRY(import_tensor(import, source));
    }
    if (tied_head.tensor != NULL) TRY(check_tied_head(import, tied_head));
out:
    return status;
}

/* Each module is given as a whole, or is to be new as a whole. */
static enum status check_complete(const struct import *import, const bool make_new[N_MODULES])
{
    enum status status = OK;
    for (int64_t i = 0; i < import->table->n_parameters; i++) {
        const struct parameter *parameter = &import->table->parameters[i];
        const char *module = module_names[parameter->module];
        if (make_new[parameter->module] && import->given_by[i] != NULL)
            FAIL(ERR_ARGUMENT, "%s holds %s, but module %s was to be new; leave out --new %s",
                 import->given_by[i], parameter->name, module, module);
        if (!make_new[parameter->module] && import->given_by[i] == NULL && parameter->used)
            FAIL(ERR_FORMAT,
                 "no source has %s; give the file that holds module %s, or make it new with "
                 "--new %s",
                 parameter->name, module, module);
    }
out:
    return status;
}

static enum status write_checkpoint(const struct import *import, const char *directory)
{
    enum status status = OK;
    const int64_t n = import->table->n_parameters;
    struct checkpoint_tensor *tensors = memory_new((size_t)n, sizeof *tensors);
    const float **data = memory_new((size_t)n, sizeof *data);
    json_t *about = json_pack("{s:s}", "made_by", "checkpoint import");
    for (int64_t i = 0; i < n; i++) {
        const struct parameter *parameter = &import->table->parameters[i];
        tensors[i] = (struct checkpoint_tensor){
            .part = CHECKPOINT_WEIGHT, .name = parameter->name, .n_dims = parameter->n_dims};
        memcpy(tensors[i].dims, parameter->dims, sizeof tensors[i].dims);
        data[i] = import->weights + parameter->offset;
    }
    const struct checkpoint_place place = {.layer = &file_layer_system, .directory = directory};
    const struct manifest_header header = {.tensors = tensors, .n_tensors = n, .about = about};
    TRY(checkpoint_write_whole(&place, &header, data));
out:
    json_decref(about);
    free(data);
    free(tensors);
    return status;
}

enum status weights_import(const struct model_config *config, const struct import_options *options)
{
    enum status status = OK;
    const bool trainable[N_MODULES] = {false};
    struct parameter_table *table = NULL;
    struct weight_files **files = NULL;
    struct import import = {.config = config};

    TRY(parameter_table_create(&table, config, trainable));
    import.table = table;
    import.given_by = memory_new((size_t)table->n_parameters, sizeof *import.given_by);
    import.weights = calloc((size_t)table->n_weight_elements, sizeof *import.weights);
    if (import.weights == NULL)
        FAIL(ERR_MEMORY, "no memory for %lld weights (%.1f GB)",
             (long long)table->n_weight_elements, (double)table->n_weight_elements * 4e-9);
    parameters_initialise(import.weights, table, config, options->seed);

    files = memory_new((size_t)options->n_sources, sizeof(struct weight_files *));
    for (int64_t i = 0; i < options->n_sources; i++) {
        TRY(weight_files_open(&files[i], options->sources[i]));
        TRY(import_source(&import, files[i]));
    }
    TRY(check_complete(&import, options->make_new));
    if (import.n_passed_over > 0)
        log_info("passed over %lld tensors that a ROBIN does not use (CLIP's text half, buffers)",
                 (long long)import.n_passed_over);
    TRY(write_checkpoint(&import, options->directory));
out:
    for (int64_t i = 0; files != NULL && i < options->n_sources; i++) weight_files_close(files[i]);
    free(files);
    free(import.given_by);
    free(import.weights);
    parameter_table_destroy(table);
    return status;
}
