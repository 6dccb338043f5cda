/* A sample ready to be packed: one conversation about one picture (or none) as ids, labels and
 * regions. */
#ifndef ROBIN_CORPUS_SAMPLE_H
#define ROBIN_CORPUS_SAMPLE_H

#include <stdint.h>

#include "corpus/record.h"
#include "text/chat.h"

struct sample {           /* zeroed is empty and releasable */
    uint64_t id;          /* source and index of the record: what the order logs and hashes */
    struct record record; /* picture bytes; its regions are the source of the masks */
    bool has_image;
    struct token_list ids;    /* IMAGE_TOKEN_ID once where the image goes; <mask>, <pos> pairs */
    struct token_list labels; /* the same length */
    int64_t *regions; /* [n_regions] indices into record.regions in the order of the <mask> tokens;
                         -1: the whole picture */
    int64_t n_regions;
    int64_t n_dropped_relations; /* of the record, by limits or options of the task */
};
void sample_release(struct sample *sample);

#endif
