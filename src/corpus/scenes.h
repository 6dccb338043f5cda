/* The procedural corpus "scenes": pictures of coloured things whose masks, boxes, attributes and
 * relations are known because they were drawn that way. Record i is a pure function of (options,
 * i): the same bytes from any rank and any number of threads. */
#ifndef ROBIN_CORPUS_SCENES_H
#define ROBIN_CORPUS_SCENES_H

#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"

#define SCENES_MAX_THINGS 6
#define SCENES_MAX_CROWD  99

struct scenes_options { /* start from scenes_options_default() */
    uint64_t seed;
    int64_t size;                   /* pixels a side, 64 .. 1024 */
    int64_t min_things, max_things; /* 2 .. SCENES_MAX_THINGS */
    int64_t first;                  /* added to every index: a held-out split begins elsewhere */
    int quality;                    /* 1 .. 100 */

    /* Not 0: crowded scenes, whose numbers of things and of relations have these means and long
     * tails; min_things and max_things are not read. */
    double crowd_objects, crowd_relations;
};
struct scenes_options scenes_options_default(void);
/* ERR_ARGUMENT naming the option. */
enum status scenes_options_check(const struct scenes_options *options);

/* Regions are in random order, so a number tells nothing. Objects are the regions; relations
 * have one statement for a pair of things at most (in a crowd: two, one each way). Texts: "caption"
 * (question empty), "refexp" for things that a phrase singles out, "vqa" on colours, names,
 * relations. Thread-safe. */
enum status scenes_record(struct record *record_out, const struct scenes_options *options,
                          int64_t index);

#endif
