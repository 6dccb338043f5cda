/* Records as the dataset classes of the reference read them from their annotation files. */
#ifndef ROBIN_TESTS_GOLDEN_RECORDS_H
#define ROBIN_TESTS_GOLDEN_RECORDS_H

#include <jansson.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"

struct golden_records { /* zeroed is releasable */
    struct record *records;
    int64_t n;
};
/* The records of a case of dataset_text.json: scene graphs by picture (an object or a list of
 * them), PSG's "data", a COCO file, referring expressions. Pictures are stand-ins of one byte. */
enum status golden_records_read(struct golden_records *records_out, const json_t *row,
                                const char *directory);
void golden_records_release(struct golden_records *records);

#endif
