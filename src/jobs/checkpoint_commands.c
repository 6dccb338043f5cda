#include "jobs/checkpoint_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/run_config.h"
#include "jobs/options.h"
#include "jobs/weight_exchange.h"
#include "train/model_setup.h"

#define COUNT(array)        (sizeof(array) / sizeof((array)[0]))
#define DEFAULT_SHARD_BYTES INT64_C(5000000000)

enum status checkpoint_import_command(struct command_call *call)
{
    enum status status = OK;
    struct run_config config = {0};
    struct option_texts sources = {0}, new_modules = {0};
    const char *path = NULL, *directory = NULL;
    int64_t seed = 0;
    bool helped = false;
    const struct option_row rows[] = {
        {"CONFIG.yaml", NULL, OPTION_TEXT, true, 0, 0, &path, "whose model.* gives the sizes"},
        {"--from", "PATH", OPTION_TEXTS, true, 0, 0, &sources,
         "safetensors file, or folder with one or with an index; may be given several times"},
        {"--out", "DIR", OPTION_TEXT, true, 0, 0, &directory, "checkpoint directory to write"},
        {"--new", "MODULE", OPTION_TEXTS, false, 0, 0, &new_modules,
         "module that starts from new weights: vision_tower, projector, mask_extractor or lm"},
        {"--seed", "N", OPTION_INTEGER, false, 0, 9e15, &seed, "of the new weights, default 0"},
    };
    TRY(options_read(rows, COUNT(rows), "checkpoint import", call, &helped));
    if (helped) goto out;
    TRY(run_config_load(&config, path, NULL, 0));

    struct import_options import = {.sources = sources.values,
                                    .n_sources = sources.n,
                                    .directory = directory,
                                    .seed = (uint64_t)seed};
    TRY(modules_from_names(import.make_new, new_modules.values, new_modules.n));
    struct model_config model = model_config_from(&config);
    TRY(weights_import(&model, &import));
    printf("%s: wrote the imported weights as step 0\n", directory);
out:
    free(sources.values);
    free(new_modules.values);
    run_config_release(&config);
    return status;
}

static enum status dtype_from_name(enum dtype *dtype_out, const char *name)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } names[] = {{"f32", DTYPE_F32}, {"bf16", DTYPE_BF16}, {"f16", DTYPE_F16}};
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        *dtype_out = names[i].dtype;
        return OK;
    }
    return status_fail(ERR_ARGUMENT, "--dtype is '%s'; it must be f32, bf16 or f16", name);
}

enum status checkpoint_export_command(struct command_call *call)
{
    enum status status = OK;
    struct run_config config = {0};
    struct option_texts modules = {0};
    const char *path = NULL, *dtype = "bf16";
    int64_t shard_bytes = DEFAULT_SHARD_BYTES;
    bool helped = false;
    struct export_options export = {0};
    const struct option_row rows[] = {
        {"CONFIG.yaml", NULL, OPTION_TEXT, true, 0, 0, &path, "whose model.* gives the sizes"},
        {"--from", "PATH", OPTION_TEXT, true, 0, 0, &export.checkpoint,
         "a checkpoint, or a run directory: its newest whole one"},
        {"--out", "DIR", OPTION_TEXT, true, 0, 0, &export.directory, "folder to write"},
        {"--module", "MODULE", OPTION_TEXTS, false, 0, 0, &modules,
         "only this module (may be given several times); lm alone is a plain Qwen2"},
        {"--dtype", "NAME", OPTION_TEXT, false, 0, 0, &dtype, "f32, bf16 (default) or f16"},
        {"--shard-bytes", "N", OPTION_INTEGER, false, 1, 9e15, &shard_bytes,
         "largest file, default 5e9"},
    };
    TRY(options_read(rows, COUNT(rows), "checkpoint export", call, &helped));
    if (helped) goto out;
    TRY(run_config_load(&config, path, NULL, 0));
    TRY(dtype_from_name(&export.dtype, dtype));
    TRY(modules_from_names(export.modules, modules.values, modules.n));
    for (int module = 0; modules.n == 0 && module < N_MODULES; module++)
        export.modules[module] = true;
    export.shard_bytes = (uint64_t)shard_bytes;
    export.tokenizer = config.tokenizer;
    struct model_config model = model_config_from(&config);
    TRY(weights_export(&model, &export));
    printf("%s: wrote safetensors and config.json\n", export.directory);
out:
    free(modules.values);
    run_config_release(&config);
    return status;
}
