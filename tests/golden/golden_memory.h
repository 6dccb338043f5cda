/* The planned memory of a model as a table for people. */
#ifndef ROBIN_TESTS_GOLDEN_MEMORY_H
#define ROBIN_TESTS_GOLDEN_MEMORY_H

#include "model/robin_model.h"

/* A line for each kind, to free(). */
char *golden_memory_table(const struct model_memory *memory);

#endif
