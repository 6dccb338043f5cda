/* What a teacher is asked: words, pictures, schema. */
#ifndef ROBIN_SGEDIT_EDIT_REQUEST_H
#define ROBIN_SGEDIT_EDIT_REQUEST_H

#include "base/status.h"
#include "sgedit/overlay.h"
#include "sgedit/teacher.h"

struct edit_request { /* owns what the teacher's request borrows; zeroed is releasable */
    struct teacher_request request;
    char *system, *user;
    uint8_t *drawn[TEACHER_MAX_IMAGES];
    json_t *schema;
};
void edit_request_release(struct edit_request *request);

struct edit_request_options {
    int64_t min_added;  /* relations that the teacher is asked to add to each object, at least */
    int64_t image_side; /* of the drawn pictures, at most */
    bool pictures;      /* false: a teacher that looks at none */
};

/* What all requests are made of. `begin` gives the picture as it is, `add_drawing` one more;
 * `words` are the caption, the size and the graph, to free(); `finish` points the request at what
 * was made. */
void edit_request_begin(struct edit_request *request, const struct record *record,
                        const struct edit_graph *graph, enum teacher_task task);
/* style->only is set here where it is NULL: things that were dropped are not drawn. */
enum status edit_request_add_drawing(struct edit_request *request,
                                     const struct overlay_style *style);
char *edit_request_words(const struct record *record, const struct edit_graph *graph);
void edit_request_finish(struct edit_request *request, const char *schema_name);

/* Improve the graph: five pictures (the original; masks and boxes; outlines; both drawn in the
 * reverse order), the caption if there is one, the size, the graph. */
enum status edit_request_make(struct edit_request *request, const struct record *record,
                              const struct edit_graph *graph,
                              const struct edit_request_options *options);

/* Say yes or no to statements about the picture: those kept relations `relations` of the graph. Two
 * pictures: the original, and the boxes of the things in question. */
enum status judge_request_make(struct edit_request *request, const struct record *record,
                               const struct edit_graph *graph, const int64_t *relations, int64_t n,
                               const struct edit_request_options *options);

/* Answers [n]: 1 yes, 0 no, -1 not answered. ERR_FORMAT when the reply is not of the schema. */
enum status judge_reply_read(int *answers, int64_t n, const char *reply);

#endif
