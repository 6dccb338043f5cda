/* The model of train.init as drafter and verifier of a generation. */
#ifndef ROBIN_JOBS_GENERATE_MODEL_H
#define ROBIN_JOBS_GENERATE_MODEL_H

#include "comm/mesh.h"
#include "config/run_config.h"
#include "model/lm_slice.h"
#include "sgedit/model_teacher.h"
#include "train/run_setup.h"

struct generate_model { /* zeroed is releasable */
    struct tokenizer *tokenizer;
    struct run_model model;
    struct engine *engine;
    struct model_teacher *teacher;
    char *name; /* for provenance */
};

/* Collective over the mesh's world. The ranks of a tp group hold one model together: the first of
 * them asks it, the others follow its engine (generate/engine.h). `share` is borrowed until the
 * close; `called` names the weights in provenance. */
enum status generate_model_open(struct generate_model *model, struct mesh *mesh,
                                struct model_share *share, const struct run_config *config,
                                const char *called);
void generate_model_close(struct generate_model *model);

#endif
