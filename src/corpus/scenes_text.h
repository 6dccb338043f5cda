/* The sentences about a scene: for scenes.c. */
#ifndef ROBIN_CORPUS_SCENES_TEXT_H
#define ROBIN_CORPUS_SCENES_TEXT_H

#include "corpus/record.h"

/* Fills record->texts from its objects (attribute 0 is the colour) and relations. */
void scenes_texts(struct record *record);

#endif
