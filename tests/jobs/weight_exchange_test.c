/* Weights in and out: what is imported is what was published, what is exported imports again, and
 * files that are not what they say are refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "checkpoint/run_checkpoint.h"
#include "checkpoint/safetensors_write.h"
#include "checkpoint/weight_files.h"
#include "jobs/weight_exchange.h"

static const struct model_config tiny = {
    .image_height = 64,
    .image_width = 64,
    .vision = {.depths = {1, 2, 3, 1}, .dims = {8, 16, 24, 40}, .norm_eps = 1e-6},
    .extractor = {.embed = 32, .mask_side = 28},
    .lm = {.vocab = 512,
           .hidden = 64,
           .ffn = 160,
           .layers = 2,
           .heads = 8,
           .kv_heads = 2,
           .max_positions = 256,
           .rms_eps = 1e-6,
           .rope_theta = 1e6,
           .tied = true},
};
static const bool all_modules[N_MODULES] = {true, true, true, true};

static char *directory;
static struct parameter_table *table;
static float *filled; /* the reference fill of the tiny model */

static int set_up(void **state)
{
    (void)state;
    char pattern[] = "/tmp/robin-weights-XXXXXX";
    directory = text_copy(mkdtemp(pattern));
    log_set_level(LOG_ERROR);
    const bool trainable[N_MODULES] = {false};
    assert_int_equal(parameter_table_create(&table, &tiny, trainable), OK);
    filled = memory_new((size_t)table->n_weight_elements, sizeof *filled);
    parameters_fill(filled, table, 10);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(directory);
    free(directory);
    free(filled);
    parameter_table_destroy(table);
    return 0;
}

static char *in(const char *name)
{
    return path_join(directory, name);
}

/* All parameters of the modules, as entries of a safetensors folder; to free(). */
static struct safetensor_source *sources_of(const bool modules[N_MODULES], int64_t *n_out)
{
    struct safetensor_source *sources = memory_new((size_t)table->n_parameters, sizeof *sources);
    int64_t n = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (!modules[parameter->module]) continue;
        sources[n] = (struct safetensor_source){.name = parameter->name,
                                                .n_dims = parameter->n_dims,
                                                .data = filled + parameter->offset};
        memcpy(sources[n++].dims, parameter->dims, sizeof sources->dims);
    }
    *n_out = n;
    return sources;
}

static void write_model(const char *path, enum dtype dtype, uint64_t shard_bytes)
{
    int64_t n = 0;
    struct safetensor_source *sources = sources_of(all_modules, &n);
    assert_int_equal(safetensors_write_folder(path, sources, n, dtype, shard_bytes), OK);
    free(sources);
}

static enum status import_from(char *source, const char *to)
{
    char *const sources[] = {source};
    struct import_options options = {.sources = sources, .n_sources = 1, .directory = to};
    return weights_import(&tiny, &options);
}

static void assert_sentence(enum status status, enum status expected, const char *part)
{
    assert_int_equal(status, expected);
    if (strstr(status_message(), part) == NULL)
        fail_msg("'%s' is not in '%s'", part, status_message());
}

static void assert_weights_equal(const char *checkpoint_directory)
{
    struct run_checkpoint *checkpoint = NULL;
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, checkpoint_directory), OK);
    assert_non_null(checkpoint);
    float *data = memory_new((size_t)table->n_weight_elements, sizeof *data);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        int64_t at = run_checkpoint_find(checkpoint, CHECKPOINT_WEIGHT, parameter->name);
        assert_true(at >= 0);
        assert_int_equal(run_checkpoint_read(checkpoint, at, data), OK);
        assert_memory_equal(data, filled + parameter->offset,
                            (size_t)parameter->n_elements * sizeof *data);
    }
    free(data);
    run_checkpoint_close(checkpoint);
}

static void whole_circle_is_exact(void **state)
{
    (void)state;
    char *folder = in("circle"), *checkpoints = in("circle-run"), *out = in("circle-out");
    char *again = in("circle-again");
    write_model(folder, DTYPE_F32, 100000); /* several files and an index */
    assert_int_equal(import_from(folder, checkpoints), OK);
    assert_weights_equal(checkpoints);

    struct export_options options = {.checkpoint = checkpoints,
                                     .directory = out,
                                     .modules = {true, true, true, true},
                                     .dtype = DTYPE_F32,
                                     .shard_bytes = 200000,
                                     .tokenizer = ""};
    assert_int_equal(weights_export(&tiny, &options), OK);
    assert_int_equal(import_from(out, again), OK);
    assert_weights_equal(again);
    assert_sentence(weights_export(&tiny, &options), ERR_ARGUMENT, "already holds a model");
    free(folder);
    free(checkpoints);
    free(out);
    free(again);
}

/* The authors' own save_pretrained of the same weights. */
static void reference_folder_imports(void **state)
{
    (void)state;
    const char *shared = getenv("ROBIN_SHARED");
    char *folder = path_join(shared != NULL ? shared : "../shared", "golden/robin_tiny/hf");
    char *checkpoints = in("reference");
    if (!file_exists(folder)) {
        print_message("skipped: no ../shared\n");
        free(folder);
        free(checkpoints);
        skip();
    }
    assert_int_equal(import_from(folder, checkpoints), OK);
    assert_weights_equal(checkpoints);
    free(folder);
    free(checkpoints);
}

/* Rounding to nearest even, against a search over the neighbours. */
static void half_precision_is_nearest(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_F16};
    for (int d = 0; d < 2; d++) {
        char *folder = in(d == 0 ? "bf16" : "f16");
        write_model(folder, dtypes[d], UINT64_MAX);
        struct weight_files *files = NULL;
        assert_int_equal(weight_files_open(&files, folder), OK);
        assert_int_equal(weight_files_count(files), table->n_parameters);
        for (int64_t i = 0; i < weight_files_count(files); i++) {
            struct weight_tensor found = weight_files_at(files, i);
            const struct parameter *parameter = parameter_find(table, found.tensor->name);
            float value = 0;
            assert_int_equal(safetensors_read_float(found.file, found.tensor, &value, 0, 1), OK);
            double exact = (double)filled[parameter->offset];
            double bound = d == 0 ? 0x1p-9 : 0x1p-12; /* half a unit in the last place, relative */
            double difference = (double)value - exact;
            if (difference < 0) difference = -difference;
            assert_true(difference <= bound * (exact < 0 ? -exact : exact) * 2);
        }
        weight_files_close(files);
        free(folder);
    }
}

static void edge_values_round_right(void **state)
{
    (void)state;
    static const float values[] = {1.0f, 0x1.004p0f, 0x1.006p0f, 0x1p-24f, 0x1.8p-24f, -65504.0f};
    static const float expected[] = {1.0f, 0x1.004p0f, 0x1.008p0f, 0x1p-24f, 0x1p-23f, -65504.0f};
    char *folder = in("edges");
    struct safetensor_source source = {.name = "x", .n_dims = 1, .dims = {6}, .data = values};
    assert_int_equal(safetensors_write_folder(folder, &source, 1, DTYPE_F16, UINT64_MAX), OK);
    struct weight_files *files = NULL;
    float found[6];
    assert_int_equal(weight_files_open(&files, folder), OK);
    struct weight_tensor tensor = weight_files_at(files, 0);
    assert_int_equal(safetensors_read_float(tensor.file, tensor.tensor, found, 0, 6), OK);
    for (int i = 0; i < 6; i++) assert_true(found[i] == expected[i]);
    weight_files_close(files);

    const float huge[] = {0, 70000.0f};
    source.dims[0] = 2;
    source.data = huge;
    assert_sentence(safetensors_write_folder(folder, &source, 1, DTYPE_F16, UINT64_MAX), ERR_LIMIT,
                    "x[1] is 70000");
    free(folder);
}

static void one_module_makes_a_plain_lm(void **state)
{
    (void)state;
    char *folder = in("lm"), *checkpoints = in("lm-run"), *model = in("lm-model");
    write_model(model, DTYPE_F32, UINT64_MAX);
    assert_int_equal(import_from(model, checkpoints), OK);
    struct export_options options = {.checkpoint = checkpoints,
                                     .directory = folder,
                                     .dtype = DTYPE_BF16,
                                     .shard_bytes = UINT64_MAX,
                                     .tokenizer = ""};
    options.modules[MODULE_LM] = true;
    assert_int_equal(weights_export(&tiny, &options), OK);
    char *path = path_join(folder, "config.json");
    unsigned char *text = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&text, &size, path, 1 << 20), OK);
    assert_non_null(strstr((char *)text, "\"Qwen2ForCausalLM\""));
    assert_non_null(strstr((char *)text, "\"bfloat16\""));

    /* It is not a whole ROBIN: the other modules must be asked to be new. */
    char *rest = in("lm-rest");
    assert_sentence(import_from(folder, rest), ERR_FORMAT, "--new ");
    char *const sources[] = {folder};
    struct import_options import = {.sources = sources,
                                    .n_sources = 1,
                                    .directory = rest,
                                    .make_new = {true, true, true, false}};
    assert_int_equal(weights_import(&tiny, &import), OK);
    import.make_new[MODULE_LM] = true;
    assert_sentence(weights_import(&tiny, &import), ERR_ARGUMENT, "leave out --new lm");
    free(text);
    free(path);
    free(rest);
    free(folder);
    free(checkpoints);
    free(model);
}

/* A folder with one tensor changed: renamed, reshaped, left out, added. */
static void wrong_tensors_are_named(void **state)
{
    (void)state;
    char *folder = in("wrong"), *checkpoints = in("wrong-run");
    int64_t n = 0;
    struct safetensor_source *sources = sources_of(all_modules, &n);

    struct safetensor_source kept = sources[3];
    sources[3].name = "model.layers.0.surprise";
    assert_int_equal(safetensors_write_folder(folder, sources, n, DTYPE_F32, UINT64_MAX), OK);
    assert_sentence(import_from(folder, checkpoints), ERR_FORMAT,
                    "model.layers.0.surprise is no parameter");
    sources[3] = kept;

    int64_t matrix = 0;
    while (sources[matrix].n_dims != 2) matrix++;
    kept = sources[matrix];
    sources[matrix].dims[0] = kept.dims[1];
    sources[matrix].dims[1] = kept.dims[0];
    assert_int_equal(safetensors_write_folder(folder, sources, n, DTYPE_F32, UINT64_MAX), OK);
    assert_sentence(import_from(folder, checkpoints), ERR_SHAPE, kept.name);
    sources[matrix] = kept;

    assert_int_equal(safetensors_write_folder(folder, sources + 1, n - 1, DTYPE_F32, UINT64_MAX),
                     OK);
    assert_sentence(import_from(folder, checkpoints), ERR_FORMAT, sources[0].name);

    char *const twice[] = {folder, folder};
    struct import_options options = {.sources = twice, .n_sources = 2, .directory = checkpoints};
    assert_sentence(weights_import(&tiny, &options), ERR_FORMAT, "was already given by");
    assert_false(file_exists(checkpoints));
    free(sources);
    free(folder);
    free(checkpoints);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    assert_int_equal(directory_create(folder), OK);
    char *path = path_join(folder, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text)), OK);
    free(path);
}

static void broken_folders_are_named(void **state)
{
    (void)state;
    static const char index[] = "model.safetensors.index.json";
    char *folder = in("broken"), *none = in("none");
    struct weight_files *files = NULL;
    assert_sentence(weight_files_open(&files, none), ERR_IO, "no such file");
    assert_int_equal(directory_create(folder), OK);
    assert_sentence(weight_files_open(&files, folder), ERR_IO, "neither model.safetensors");
    write_text(folder, "pytorch_model.bin", "x");
    char *pickle = path_join(folder, "pytorch_model.bin");
    assert_sentence(weight_files_open(&files, pickle), ERR_UNSUPPORTED, "pickle");
    write_text(folder, index, "{\"weight_map\": [");
    assert_sentence(weight_files_open(&files, folder), ERR_FORMAT, index);
    write_text(folder, index, "{\"weight_map\": {\"a\": \"../up.safetensors\"}}");
    assert_sentence(weight_files_open(&files, folder), ERR_FORMAT, "weight_map[\"a\"]");
    write_text(folder, index, "{\"weight_map\": {\"a\": 7}}");
    assert_sentence(weight_files_open(&files, folder), ERR_FORMAT, "weight_map[\"a\"]");
    write_text(folder, index, "{\"weight_map\": {}}");
    assert_sentence(weight_files_open(&files, folder), ERR_FORMAT, "no tensors");
    write_text(folder, index, "{\"weight_map\": {\"a\": \"gone.safetensors\"}}");
    assert_sentence(weight_files_open(&files, folder), ERR_IO, "gone.safetensors");

    /* Files are whole, the index is not about them. */
    const float value[1] = {1};
    struct safetensor_source source = {.name = "a", .n_dims = 1, .dims = {1}, .data = value};
    assert_int_equal(safetensors_write_folder(folder, &source, 1, DTYPE_F32, UINT64_MAX), OK);
    write_text(folder, index,
               "{\"weight_map\": {\"a\": \"model.safetensors\", \"b\": \"model.safetensors\"}}");
    assert_sentence(weight_files_open(&files, folder), ERR_FORMAT, "tensor b is missing");
    write_text(folder, index, "{\"weight_map\": {\"b\": \"model.safetensors\"}}");
    assert_sentence(weight_files_open(&files, folder), ERR_FORMAT, "tensor a is not listed");
    free(pickle);
    free(folder);
    free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_circle_is_exact),       cmocka_unit_test(reference_folder_imports),
        cmocka_unit_test(half_precision_is_nearest),   cmocka_unit_test(edge_values_round_right),
        cmocka_unit_test(one_module_makes_a_plain_lm), cmocka_unit_test(wrong_tensors_are_named),
        cmocka_unit_test(broken_folders_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
