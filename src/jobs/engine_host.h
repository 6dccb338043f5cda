/* A model with its tokenizer and an engine over it, for the commands that answer: from a
 * configuration and a checkpoint. */
#ifndef ROBIN_JOBS_ENGINE_HOST_H
#define ROBIN_JOBS_ENGINE_HOST_H

#include "comm/comm.h"
#include "comm/mesh.h"
#include "config/run_config.h"
#include "generate/engine.h"
#include "model/lm_slice.h"
#include "train/run_setup.h"

struct engine_host { /* zeroed is releasable */
    struct comm *comm;
    struct mesh mesh; /* of several ranks: those that hold the model together */
    struct model_share share;
    bool open;
    struct run_config config;
    struct tokenizer *tokenizer;
    struct run_model model;
    struct engine *engine;
};

/* `weights`: a checkpoint, or a folder with some, instead of train.init; "": that. Says on stderr
 * what memory it will take, before it takes it. Started with several ranks it is collective: they
 * hold the model together, parallel.tp of them; alone one rank has it whole, whatever that says. */
enum status engine_host_open(struct engine_host *host, const char *path, const char *weights,
                             const char *const *set, int n_set);
/* Whether this rank asks the engine. The others call engine_host_follow, which comes back when the
 * first one closes its host. */
bool engine_host_leads(const struct engine_host *host);
enum status engine_host_follow(struct engine_host *host);
void engine_host_close(struct engine_host *host);

#endif
