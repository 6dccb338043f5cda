/* Texts of a record: importers append them turn by turn. */
#ifndef ROBIN_CORPUS_IMPORT_TEXT_H
#define ROBIN_CORPUS_IMPORT_TEXT_H

#include <stdint.h>

#include "corpus/record.h"

/* A text without turns yet; `region` -1: the whole picture; `origin` NULL: none. Valid until the
 * next one is added. */
struct record_text *import_add_text(struct record *record, const char *task, int64_t region,
                                    const char *origin);
/* Valid until the next one is added. */
struct record_turn *import_add_turn(struct record_text *text, const char *question,
                                    const char *answer);
void import_add_choice(struct record_turn *turn, const char *choice);
/* An object of the record that the turn is about. */
void import_add_reference(struct record_turn *turn, int64_t object);

#endif
