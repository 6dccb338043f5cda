/* Weights from and to the rest of the world: Hugging Face and open_clip safetensors into a run's
 * checkpoint, and a run's checkpoint into what from_pretrained reads. One process, no ranks. */
#ifndef ROBIN_JOBS_WEIGHT_EXCHANGE_H
#define ROBIN_JOBS_WEIGHT_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "dims.h"
#include "model/parameters.h"

struct import_options {
    char *const *sources; /* files or folders of safetensors: a ROBIN, a Qwen2, a tower ... */
    int64_t n_sources;
    const char *directory;    /* the checkpoint directory to write step 0 into */
    bool make_new[N_MODULES]; /* modules that no source holds are initialised instead */
    uint64_t seed;            /* of that initialisation */
};

/* Names are matched as they are; open_clip's `visual.*` become the tower's. Keys of CLIP's text
 * half and buffers that are no parameters are passed over and counted. Refused, naming file and
 * tensor: any other name, a shape or dtype that does not fit, a tensor given twice, a parameter
 * that no source has (unless its whole module is to be new). */
enum status weights_import(const struct model_config *config, const struct import_options *options);

struct export_options {
    const char *checkpoint;  /* as run_checkpoint_open_path takes it */
    const char *directory;   /* folder to write */
    bool modules[N_MODULES]; /* what goes out; lm alone becomes a plain Qwen2ForCausalLM */
    enum dtype dtype;        /* DTYPE_F32, DTYPE_BF16 or DTYPE_F16 */
    uint64_t shard_bytes;
    const char *tokenizer; /* folder whose tokenizer files are copied along; "" for none */
};

/* ERR_ARGUMENT if the folder has a model already; ERR_FORMAT if the checkpoint does not fit the
 * sizes. */
enum status weights_export(const struct model_config *config, const struct export_options *options);

#endif
