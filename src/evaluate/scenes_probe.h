/* What a model knows of held-out scenes: colours, names and relations, asked one by one and in
 * whole graphs, with the picture, with the picture zeroed (every pixel the mean colour; masks
 * stay), and with another scene's picture. Teacher-forced: an answer is right if every token of it
 * is the most likely one behind the true tokens before it. */
#ifndef ROBIN_EVALUATE_SCENES_PROBE_H
#define ROBIN_EVALUATE_SCENES_PROBE_H

#include <stdint.h>

#include "base/status.h"
#include "corpus/region_mask.h"
#include "corpus/shard.h"
#include "evaluate/probe_answers.h"
#include "image/image.h"
#include "model/robin_model.h"

struct mesh;

enum probe_form { PROBE_SHORT, PROBE_GRAPH, N_PROBE_FORMS };
enum probe_view { PROBE_SEEN, PROBE_ZEROED, PROBE_SWAPPED, N_PROBE_VIEWS };

extern const char *const probe_form_names[N_PROBE_FORMS];
extern const char *const probe_class_names[N_PROBE_CLASSES];
extern const char *const probe_view_names[N_PROBE_VIEWS];

struct scenes_probe {        /* everything borrowed */
    const struct mesh *mesh; /* records over the data axis, a model over the tensor axis */
    struct model *model;
    const struct tokenizer *tokenizer;
    const struct corpus *corpus;
    int64_t n_records; /* the first so many; at least 2 */
    struct sample_rows_options rows;
    enum image_mode image_mode;
    enum region_mode region_mode;
    uint64_t seed; /* of the order of questions */
};

struct probe_counts {
    int64_t total[N_PROBE_FORMS][N_PROBE_CLASSES];
    int64_t right[N_PROBE_FORMS][N_PROBE_CLASSES][N_PROBE_VIEWS];
    int64_t truth[N_PROBE_FORMS][N_PROBE_CLASSES][PROBE_MAX_WORDS]; /* how often each was true */
};

/* Collective; all ranks get the same counts. ERR_SHAPE if two pictures differ in size. */
enum status scenes_probe_run(struct probe_counts *counts_out, const struct scenes_probe *probe);

/* Share of right answers; of always giving the most frequent one. 0 where nothing was asked. */
double probe_accuracy(const struct probe_counts *counts, enum probe_form form,
                      enum probe_class class, enum probe_view view);
double probe_majority(const struct probe_counts *counts, enum probe_form form,
                      enum probe_class class);

struct probe_beside { /* what another model knew of the same scenes, their pictures seen */
    const char *name;
    double seen[N_PROBE_FORMS][N_PROBE_CLASSES];
};

/* The table as people read it, with a column for each of the n beside it; to free(). */
char *probe_table(const struct probe_counts *counts, const struct probe_beside *beside, int64_t n);

#endif
