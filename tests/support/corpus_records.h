/* Records that tests of the corpus write and compare. */
#ifndef ROBIN_TESTS_CORPUS_RECORDS_H
#define ROBIN_TESTS_CORPUS_RECORDS_H

#include <stdbool.h>

#include "corpus/record.h"

/* A valid record, a pure function of `index`: with and without regions, masks, attributes,
 * relations of each kind, texts, pictures (records 3k and 3k+1 share one), strings in several
 * scripts. The picture's bytes are no picture: shards do not look into them. */
struct record test_record(int index);

/* Every field the same. */
bool test_records_equal(const struct record *a, const struct record *b);

/* A fresh empty folder under $TMPDIR, its name to free(). */
char *test_folder(void);

#endif
