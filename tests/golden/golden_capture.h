/* Keeps what a model shows its observer, by name. */
#ifndef ROBIN_TESTS_GOLDEN_CAPTURE_H
#define ROBIN_TESTS_GOLDEN_CAPTURE_H

#include <stdint.h>

#include "model/robin_model.h"

struct captured {
    char *name;
    float *data;
    int64_t rows, columns;
};

struct golden_capture { /* zeroed is empty */
    struct captured *items;
    int64_t n_items;
};

/* An observer that copies everything into the capture; pieces of one name are put behind each
 * other. */
struct model_observer golden_capture_observer(struct golden_capture *capture);
/* NULL if nothing of that name was seen. */
const struct captured *golden_captured(const struct golden_capture *capture, const char *name);
void golden_capture_release(struct golden_capture *capture);

#endif
