/* What tests of importers share: small pictures, and an annotation's first item in words. */
#ifndef ROBIN_TESTS_IMPORT_CHECK_H
#define ROBIN_TESTS_IMPORT_CHECK_H

#include "corpus/corpus_build.h"
#include "corpus/import.h"

typedef enum status (*import_open)(struct record_source *, const struct import_options *);

/* cmocka set-up and tear-down: *state is a folder with 7.jpg and 7.png of 8 x 6 pixels (width x
 * height) and 8.jpg, half a picture. 7.png is a panoptic one: the left half of its first five rows
 * is segment 1, the right half segment 258 = (2, 1, 0), the last row is void. */
int import_check_set_up(void **state);
int import_check_tear_down(void **state);

/* Writes FOLDER/a.json and opens it with --images FOLDER. */
enum status import_check_open(struct record_source *source, import_open open, const char *folder,
                              const char *json, const char *split);

/* The first item of an open source in words, then "dropped REASON: sentence" for each part left
 * out; or "REASON: sentence" of why it is skipped. To free(). */
char *import_check_item(const struct record_source *source, int64_t item);

/* Fails the test unless the first item's words, or "refused: sentence", hold `words`. */
void import_check(import_open open, const char *folder, const char *json, const char *words);

#endif
