/* The model of train.init as drafter and verifier of a generation. */
#ifndef ROBIN_JOBS_GENERATE_MODEL_H
#define ROBIN_JOBS_GENERATE_MODEL_H

#include "comm/comm.h"
#include "config/run_config.h"
#include "sgedit/model_teacher.h"
#include "train/run_setup.h"

struct generate_model { /* zeroed is releasable */
    struct tokenizer *tokenizer;
    struct run_model model;
    struct engine *engine;
    struct model_teacher *teacher;
    char *name; /* for provenance */
};

/* Collective. Every rank holds the whole model. `called` names its weights in provenance. */
enum status generate_model_open(struct generate_model *model, struct comm *comm,
                                const struct run_config *config, const char *called);
void generate_model_close(struct generate_model *model);

#endif
