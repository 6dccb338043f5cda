/* Samples as long as those of the paper's second stage: dense graphs of 13 to 20 objects and 25 to
 * 42 relations on average with long tails, relations per object, detection, grounded answers,
 * referring expressions, region captions, questions, text alone; 1024 rows a picture, about 25
 * tokens a listed region. Sizes only: for tests and benchmarks of packing. */
#ifndef ROBIN_TESTS_STAGE2_LENGTHS_H
#define ROBIN_TESTS_STAGE2_LENGTHS_H

#include <stdint.h>

#include "train/sample_cost.h"

/* Sample i, a pure function of i; at most 8192 tokens. */
struct sample_size stage2_length(uint64_t i);

/* Work of the paper's model in that stage, where everything trains. */
struct sample_cost stage2_cost(void);

#endif
