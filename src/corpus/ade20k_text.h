/* ADE20K's release of 2016, whose annotation of X.jpg is text and colours, and what it shares with
 * the later one. Only for import_ade20k.c. */
#ifndef ROBIN_CORPUS_ADE20K_TEXT_H
#define ROBIN_CORPUS_ADE20K_TEXT_H

#include "base/json_file.h"
#include "base/status.h"
#include "corpus/corpus_build.h"
#include "corpus/record.h"

/* BASE_atr.txt, a line an object: NUMBER # LEVEL # OCCLUDED # NAME, SYNONYM # RAW NAME #
 * "ATTRIBUTE, ATTRIBUTE". Level 0 is an object, masked in BASE_seg.png; level N a part of
 * something of level N - 1, masked in BASE_parts_N.png. Object NUMBER of a level is the NUMBER-th
 * of the values above 0 that the blue of its PNG has. What a part is part of is not said: it is
 * what most of its pixels lie on. */
enum status ade20k_read_text(struct record *record, const char *base, struct item_note *note);

/* A region and an object: its name is the first of the synonyms. */
enum status ade20k_add_object(struct record *record, const char *synonyms, struct json_place place);
/* Attributes between commas. */
enum status ade20k_add_attributes(struct record_object *object, const char *text,
                                  struct json_place place);
/* ERR_FORMAT for a mask without a pixel. */
enum status ade20k_box_of_mask(struct record_region *region, struct json_place place);

#endif
