/* Records as the dataset classes of the reference read them from their annotation files; the
 * readers are in golden_builder.h. */
#ifndef ROBIN_TESTS_GOLDEN_RECORDS_H
#define ROBIN_TESTS_GOLDEN_RECORDS_H

#include <stdint.h>

#include "corpus/record.h"

struct golden_records { /* zeroed is releasable */
    struct record *records;
    int64_t n;
};
void golden_records_release(struct golden_records *records);

#endif
