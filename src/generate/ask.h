/* From what somebody wants to know of a picture to a request of the engine, and from its answers to
 * a graph, boxes or probabilities. */
#ifndef ROBIN_GENERATE_ASK_H
#define ROBIN_GENERATE_ASK_H

#include "generate/engine.h"
#include "text/scene_graph.h"

enum ask_mode {
    ASK_HOLISTIC,   /* one graph of all regions in one answer */
    ASK_PER_OBJECT, /* for each region a description, then its relations */
    ASK_DETECTION,  /* a graph with boxes of the model's own, no regions given */
    ASK_REFEXP,     /* the box of each expression in `questions` */
    ASK_QUESTION,   /* each of `questions`, freely or in a few words */
    ASK_YES_NO,     /* each of `questions` with the probability of yes */
    N_ASK_MODES
};
extern const char *const ask_mode_names[N_ASK_MODES];

enum ask_wording {
    ASK_AS_RELEASED, /* as the authors' pipeline asks */
    ASK_AS_TRAINED,  /* as in training: another sentence for the whole picture, no space behind a
                        list of regions, the question of the data set */
};

/* How it is asked; zeroed but for max_tokens is greedy and unconstrained. */
struct ask_options { /* start from ask_options_default() */
    enum ask_mode mode;
    enum ask_wording wording;
    bool constrained; /* the grammar of the mode's format */
    bool box_text;    /* boxes behind region tokens */
    int64_t max_tokens;
    bool goes_on;
    double temperature, top_p;
};
struct ask_options ask_options_default(enum ask_mode mode);

struct ask { /* borrowed */
    const char *id;
    uint64_t tag;
    struct image_source picture;
    int64_t height, width;   /* of the picture, for boxes */
    const struct rle *masks; /* regions; none: the whole picture is region1 */
    int64_t n_regions;
    const struct box *boxes; /* [n_regions], with box_text */
    const char *const *questions;
    int64_t n_questions;
};

/* Makes the request and hands it to the engine. ERR_FORMAT if a question holds a control token,
 * ERR_ARGUMENT if the mode lacks its questions. */
enum status ask_submit(struct engine *engine, const struct tokenizer *tokenizer,
                       const struct ask *ask, const struct ask_options *options);

/* The graph in an answer of mode holistic, per object or detection. Holistic and per object:
 * object k is region k, "" where the answer does not name it (per object: its description).
 * Detection: objects in the order of the answer, with boxes in pixels. */
struct ask_graph { /* zeroed is releasable */
    struct scene_graph graph;
    bool found;        /* it is a graph at all */
    bool truncated;    /* an answer was cut */
    int64_t n_dropped; /* relations without predicate or to regions that are not there */
};
enum status ask_read_graph(struct ask_graph *graph_out, const struct engine_result *result,
                           const struct ask *ask, const struct ask_options *options);
void ask_graph_release(struct ask_graph *graph);

#endif
