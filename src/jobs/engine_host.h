/* A model with its tokenizer and an engine over it, for the commands that answer: from a
 * configuration and a checkpoint. */
#ifndef ROBIN_JOBS_ENGINE_HOST_H
#define ROBIN_JOBS_ENGINE_HOST_H

#include "comm/comm.h"
#include "config/run_config.h"
#include "generate/engine.h"
#include "train/run_setup.h"

struct engine_host { /* zeroed is releasable */
    struct comm *comm;
    struct run_config config;
    struct tokenizer *tokenizer;
    struct run_model model;
    struct engine *engine;
};

/* `weights`: a checkpoint, or a folder with some, instead of train.init; "": that. Says on stderr
 * what memory it will take, before it takes it. */
enum status engine_host_open(struct engine_host *host, const char *path, const char *weights,
                             const char *const *set, int n_set);
void engine_host_close(struct engine_host *host);

#endif
