/* The model itself: it drafts graphs, and says how likely a statement is. Both share one engine, so
 * a picture that waits for its verdict does not hold up another one's draft. */
#ifndef ROBIN_SGEDIT_MODEL_TEACHER_H
#define ROBIN_SGEDIT_MODEL_TEACHER_H

#include "config/run_config.h"
#include "generate/ask.h"
#include "sgedit/drafter.h"
#include "sgedit/teacher.h"

struct model_teacher;

struct model_teacher_options {
    struct engine *engine; /* borrowed, used by nobody else */
    const struct tokenizer *tokenizer;
    struct ask_options draft; /* mode ASK_HOLISTIC or ASK_PER_OBJECT */
    struct ask_options judge; /* mode ASK_YES_NO */
    int region_mode;          /* enum region_mode of corpus/region_mask.h */
    double least_yes;         /* probability below which a statement is denied */
    const char *name;         /* of the weights, for provenance */
};

enum status model_teacher_create(struct model_teacher **model_out,
                                 const struct model_teacher_options *options);
void model_teacher_destroy(struct model_teacher *model);

/* Views of it: their release does nothing. */
struct drafter model_drafter(struct model_teacher *model);
struct teacher model_verifier(struct model_teacher *model);

#endif
