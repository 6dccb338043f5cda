/* Pascal-Part's codes of parts in words. Only for import_pascal_part.c. */
#ifndef ROBIN_CORPUS_PASCAL_PART_NAMES_H
#define ROBIN_CORPUS_PASCAL_PART_NAMES_H

#include <stdbool.h>

/* "lfuleg" -> "left front upper leg", or "leg" without the side; "wheel_2" -> "wheel". A code that
 * is none of its list stays as it is. To free(). */
char *pascal_part_words(const char *code, bool with_side);

/* "pottedplant" -> "potted plant", "diningtable" -> "dining table", "tvmonitor" -> "tv monitor"; to
 * free(). */
char *pascal_class_words(const char *name);

#endif
