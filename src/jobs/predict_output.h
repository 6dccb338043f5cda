/* What `predict` writes: answers as text, as JSON, or drawn over the picture. */
#ifndef ROBIN_JOBS_PREDICT_OUTPUT_H
#define ROBIN_JOBS_PREDICT_OUTPUT_H

#include <jansson.h>

#include "generate/ask.h"
#include "generate/regions_json.h"

struct prediction {
    const struct engine_result *result;
    const struct ask *ask;
    const struct ask_options *options;
    const struct regions *regions;
    const struct ask_graph *graph; /* NULL: the answers are no graph */
};

void predict_text(struct text_buffer *out, const struct prediction *prediction);
/* {"id", "mode", "answers": [...], "objects": [...], "relations": [...], "usage": {...}}; objects
 * and relations of graphs alone. To json_decref. */
json_t *predict_json(const struct prediction *prediction);
/* The picture with masks, boxes and numbers, the answers below; one SVG file, nothing fetched. */
void predict_svg(struct text_buffer *out, const struct prediction *prediction);

#endif
