/* The answers of a conversation about a scene, found among its tokens: which rows hold a colour, a
 * name or a relation, in short answers and in whole graphs. */
#ifndef ROBIN_EVALUATE_PROBE_ANSWERS_H
#define ROBIN_EVALUATE_PROBE_ANSWERS_H

#include <stdint.h>

#include "base/status.h"
#include "text/tokenizer.h"
#include "train/sample_rows.h"

enum probe_class {
    PROBE_COLOUR,
    PROBE_NAME,
    PROBE_GEOMETRY, /* relations that the masks decide */
    PROBE_PIXELS,   /* relations that only the picture decides */
    N_PROBE_CLASSES
};

#define PROBE_MAX_WORDS 32 /* different answers of a class */

struct probe_answer {
    enum probe_class class;
    int word;          /* which of the class's answers */
    int64_t first_row; /* the rows that hold it; row r is predicted from row r - 1 */
    int64_t n_rows;
};

struct probe_answers { /* zeroed is empty and releasable; in order of rows */
    struct probe_answer *answers;
    int64_t n;
};

/* Every assistant turn of the sample is either one word of the scenes or a graph. ERR_FORMAT with
 * the answer's text if it is neither. */
enum status probe_answers_find(struct probe_answers *answers_out, const struct sample_rows *rows,
                               const struct tokenizer *tokenizer);
void probe_answers_release(struct probe_answers *answers);

#endif
