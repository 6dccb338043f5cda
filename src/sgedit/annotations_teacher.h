/* A teacher that knows the answers: edits that lead from a draft to the annotations of the corpus,
 * with a stated share of mistakes. For tests and for the demo's service. */
#ifndef ROBIN_SGEDIT_ANNOTATIONS_TEACHER_H
#define ROBIN_SGEDIT_ANNOTATIONS_TEACHER_H

#include "sgedit/teacher.h"

struct annotations_options {
    double noise; /* share of its decisions that are wrong */
    uint64_t seed;
};

/* The answer to a request, to free(): a pure function of it and the options. */
char *annotations_answer(const struct teacher_request *request,
                         const struct annotations_options *options);

enum status annotations_teacher_create(struct teacher *teacher_out,
                                       const struct annotations_options *options);

#endif
