/* Export: the weights of a checkpoint as safetensors, with the config.json that names their
 * sizes. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/run_checkpoint.h"
#include "checkpoint/safetensors_write.h"
#include "jobs/weight_exchange.h"

#define MAX_TOKENIZER_FILE ((size_t)256 << 20)

static bool lm_alone(const bool modules[N_MODULES])
{
    for (int module = 0; module < N_MODULES; module++)
        if (modules[module] != (module == MODULE_LM)) return false;
    return true;
}

/* Hugging Face's Qwen2Config, with the keys that ROBIN's own config adds. */
static json_t *config_json(const struct model_config *config, const struct export_options *options)
{
    const struct lm_config *lm = &config->lm;
    bool plain = lm_alone(options->modules);
    const char *dtype = options->dtype == DTYPE_F32    ? "float32"
                        : options->dtype == DTYPE_BF16 ? "bfloat16"
                                                       : "float16";
    json_t *root = json_pack(
        "{s:[s], s:s, s:f, s:s, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:n, s:n, s:b, "
        "s:s, s:b, s:b}",
        "architectures", plain ? "Qwen2ForCausalLM" : "RobinQwenForCausalLM", "model_type",
        plain ? "qwen2" : "robin_qwen", "attention_dropout", 0.0, "hidden_act", "silu",
        "hidden_size", (json_int_t)lm->hidden, "initializer_range", 0.02, "intermediate_size",
        (json_int_t)lm->ffn, "max_position_embeddings", (json_int_t)lm->max_positions,
        "max_window_layers", (json_int_t)lm->layers, "num_attention_heads", (json_int_t)lm->heads,
        "num_hidden_layers", (json_int_t)lm->layers, "num_key_value_heads",
        (json_int_t)lm->kv_heads, "rms_norm_eps", lm->rms_eps, "rope_theta", lm->rope_theta,
        "rope_scaling", "sliding_window", "tie_word_embeddings", (int)lm->tied, "torch_dtype",
        dtype, "use_cache", 1, "use_sliding_window", 0);
    ASSERT(root != NULL, "config.json could not be made");
    json_object_set_new(root, "vocab_size", json_integer(lm->vocab));
    if (plain) return root;
    json_object_set_new(root, "mm_hidden_size", json_integer(config->vision.dims[IMAGE_LEVEL]));
    json_object_set_new(root, "mm_projector_type", json_string("mlp2x_gelu"));
    json_object_set_new(root, "mm_vision_tower", json_string("none"));
    json_object_set_new(root, "tokenizer_model_max_length", json_null());
    return root;
}

static enum status write_config(const struct model_config *config,
                                const struct export_options *options)
{
    enum status status = OK;
    json_t *root = config_json(config, options);
    char *path = path_join(options->directory, "config.json");
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    ASSERT(text != NULL, "config.json could not be written");
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    free(text);
    free(path);
    json_decref(root);
    return status;
}

static enum status copy_tokenizer(const struct export_options *options)
{
    static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json",
                                        "added_tokens.json", "special_tokens_map.json"};
    enum status status = OK;
    char *from = NULL, *to = NULL;
    unsigned char *bytes = NULL;
    size_t size = 0;
    for (size_t i = 0; options->tokenizer[0] != '\0' && i < sizeof names / sizeof names[0]; i++) {
        free(from);
        free(to);
        free(bytes);
        bytes = NULL;
        from = path_join(options->tokenizer, names[i]);
        to = path_join(options->directory, names[i]);
        if (i >= 2 && !file_exists(from)) continue; /* only the first two must be there */
        TRY(file_read(&bytes, &size, from, MAX_TOKENIZER_FILE));
        TRY(file_write_atomic(to, bytes, size));
    }
out:
    free(bytes);
    free(from);
    free(to);
    return status;
}

static enum status read_weights(float *weights, const struct parameter_table *table,
                                const struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    const char *path = run_checkpoint_path(checkpoint);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        int64_t at = run_checkpoint_find(checkpoint, CHECKPOINT_WEIGHT, parameter->name);
        if (at < 0)
            FAIL(ERR_FORMAT, "%s: has no %s; is model.* of the config the run's?", path,
                 parameter->name);
        const struct checkpoint_tensor *tensor = run_checkpoint_tensor(checkpoint, at);
        if (tensor->n_dims != parameter->n_dims ||
            memcmp(tensor->dims, parameter->dims,
                   (size_t)parameter->n_dims * sizeof *tensor->dims) != 0)
            FAIL(ERR_SHAPE, "%s: %s has another shape than model.* of the config says", path,
                 parameter->name);
        TRY(run_checkpoint_read(checkpoint, at, weights + parameter->offset));
    }
out:
    return status;
}

static enum status refuse_existing(const char *directory)
{
    enum status status = OK;
    char *single = path_join(directory, "model.safetensors");
    char *index = path_join(directory, "model.safetensors.index.json");
    if (file_exists(single) || file_exists(index))
        FAIL(ERR_ARGUMENT, "%s already holds a model; name another folder or remove it", directory);
out:
    free(single);
    free(index);
    return status;
}

enum status weights_export(const struct model_config *config, const struct export_options *options)
{
    enum status status = OK;
    const bool trainable[N_MODULES] = {false};
    struct parameter_table *table = NULL;
    struct run_checkpoint *checkpoint = NULL;
    struct safetensor_source *sources = NULL;
    float *weights = NULL;
    int64_t n = 0;

    TRY(refuse_existing(options->directory));
    TRY(run_checkpoint_open_path(&checkpoint, options->checkpoint));
    TRY(parameter_table_create(&table, config, trainable));
    weights = malloc((size_t)table->n_weight_elements * sizeof *weights);
    if (weights == NULL)
        FAIL(ERR_MEMORY, "no memory for %lld weights", (long long)table->n_weight_elements);
    TRY(read_weights(weights, table, checkpoint));

    sources = memory_new((size_t)table->n_parameters, sizeof *sources);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (!options->modules[parameter->module]) continue;
        sources[n] = (struct safetensor_source){.name = parameter->name,
                                                .n_dims = parameter->n_dims,
                                                .data = weights + parameter->offset};
        memcpy(sources[n++].dims, parameter->dims, sizeof sources->dims);
    }
    TRY(safetensors_write_folder(options->directory, sources, n, options->dtype,
                                 options->shard_bytes));
    TRY(copy_tokenizer(options));
    TRY(write_config(config, options));
out:
    free(weights);
    free(sources);
    run_checkpoint_close(checkpoint);
    parameter_table_destroy(table);
    return status;
}
