/* See predict_output.h. What a model wrote is never trusted: it reaches the drawing escaped. */
#include "jobs/predict_output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/base64.h"
#include "report/chart_svg.h"
#include "text/box_text.h"

static const char *question_of(const struct prediction *p, int64_t branch)
{
    return p->ask->n_questions > 0 ? p->ask->questions[branch] : NULL;
}

void predict_text(struct text_buffer *out, const struct prediction *p)
{
    for (int64_t b = 0; b < p->result->n_branches; b++) {
        const struct engine_branch_result *branch = &p->result->branches[b];
        if (question_of(p, b) != NULL) text_printf(out, "%s\n", question_of(p, b));
        if (p->options->mode == ASK_PER_OBJECT) text_printf(out, "region%" PRId64 "\n", b + 1);
        for (int64_t t = 0; t < branch->n_answers; t++) {
            const struct engine_answer *answer = &branch->answers[t];
            text_append(out, answer->text);
            if (out->length > 0 && out->text[out->length - 1] != '\n') text_append_char(out, '\n');
            if (answer->yes >= 0) text_printf(out, "probability of yes: %.4f\n", answer->yes);
            if (answer->truncated) text_append(out, "(cut at the limit of tokens)\n");
        }
    }
}

/* ---- JSON ---- */

static json_t *box_json(struct box box)
{
    return json_pack("[f, f, f, f]", box.x1, box.y1, box.x2, box.y2);
}

/* Boxes that the answer names, in pixels. */
static json_t *boxes_json(const struct prediction *p, const char *text)
{
    json_t *list = json_array();
    struct box *boxes = NULL;
    int64_t n = 0;
    box_text_find(&boxes, &n, text, strlen(text));
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(list,
                              box_json(box_denormalise(boxes[i], p->ask->width, p->ask->height)));
    free(boxes);
    return list;
}

static json_t *answers_json(const struct prediction *p)
{
    json_t *list = json_array();
    for (int64_t b = 0; b < p->result->n_branches; b++) {
        for (int64_t t = 0; t < p->result->branches[b].n_answers; t++) {
            const struct engine_answer *answer = &p->result->branches[b].answers[t];
            json_t *row = json_pack("{s:s, s:I, s:b, s:f}", "text", answer->text, "tokens",
                                    (json_int_t)answer->n_tokens, "truncated", answer->truncated,
                                    "log_probability", answer->log_probability);
            ASSERT(row != NULL, "an answer could not be made into JSON");
            if (question_of(p, b) != NULL)
                json_object_set_new(row, "question", json_string(question_of(p, b)));
            if (p->options->mode == ASK_PER_OBJECT)
                json_object_set_new(row, "region", json_integer(b + 1));
            if (answer->yes >= 0) json_object_set_new(row, "yes", json_real(answer->yes));
            if (p->options->mode == ASK_REFEXP)
                json_object_set_new(row, "boxes", boxes_json(p, answer->text));
            json_array_append_new(list, row);
        }
    }
    return list;
}

static json_t *objects_json(const struct prediction *p)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < p->graph->graph.n_objects; i++) {
        const struct scene_object *object = &p->graph->graph.objects[i];
        json_t *row = json_pack("{s:s}", "name", object->name);
        if (i < p->regions->n)
            json_object_set_new(row, "box", box_json(p->regions->boxes[i]));
        else if (object->has_box)
            json_object_set_new(row, "box", box_json(object->box));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *relations_json(const struct scene_graph *graph)
{
    json_t *list = json_array();
    for (int64_t r = 0; r < graph->n_relations; r++)
        json_array_append_new(list, json_pack("[I, I, s]", (json_int_t)graph->relations[r].subject,
                                              (json_int_t)graph->relations[r].object,
                                              graph->relations[r].predicate));
    return list;
}

json_t *predict_json(const struct prediction *p)
{
    json_t *root = json_pack("{s:s, s:s, s:o}", "id", p->ask->id, "mode",
                             ask_mode_names[p->options->mode], "answers", answers_json(p));
    ASSERT(root != NULL, "a prediction could not be made into JSON");
    if (p->graph != NULL) {
        json_object_set_new(root, "objects", objects_json(p));
        json_object_set_new(root, "relations", relations_json(&p->graph->graph));
        json_object_set_new(root, "dropped_relations", json_integer(p->graph->n_dropped));
    }
    json_object_set_new(root, "usage",
                        json_pack("{s:I, s:I, s:I}", "prompt_tokens",
                                  (json_int_t)p->result->prompt_tokens, "prefilled_tokens",
                                  (json_int_t)p->result->prefilled_tokens, "answer_tokens",
                                  (json_int_t)p->result->answer_tokens));
    return root;
}

/* ---- SVG ---- */

static const char *const colours[] = {"#4477aa", "#ee6677", "#228833", "#ccbb44",
                                      "#66ccee", "#aa3377", "#ee9955", "#888888"};

static const char *colour_of(int64_t region)
{
    return colours[(size_t)region % (sizeof colours / sizeof colours[0])];
}

/* One stroke for each run of set pixels down a column. */
static void draw_mask(struct text_buffer *out, const struct rle *mask, const char *colour)
{
    text_printf(out, "<path stroke=\"%s\" stroke-opacity=\".4\" d=\"", colour);
    for (int64_t run = 0, at = 0; run < mask->n_runs; at += mask->runs[run++]) {
        const int64_t end = at + mask->runs[run];
        for (int64_t from = at, to; run % 2 == 1 && from < end; from = to) {
            to = (from / mask->height + 1) * mask->height;
            if (to > end) to = end;
            text_printf(out, "M%" PRId64 ".5 %" PRId64 "v%" PRId64, from / mask->height,
                        from % mask->height, to - from);
        }
    }
    text_append(out, "\"/>\n");
}

static void draw_box(struct text_buffer *out, struct box box, int64_t number, double size)
{
    const char *colour = colour_of(number);
    text_printf(out,
                "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" fill=\"none\" stroke=\"%s\" "
                "stroke-width=\"%g\"/>\n<text x=\"%g\" y=\"%g\" fill=\"%s\" stroke=\"#fff\" "
                "stroke-width=\"%g\" paint-order=\"stroke\" font-size=\"%g\" "
                "font-weight=\"bold\">%" PRId64 "</text>\n",
                box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1, colour, size / 8,
                box.x1 + size / 4, box.y1 + size, colour, size / 5, size, number + 1);
}

static int64_t count_lines(const char *text)
{
    int64_t n = 0;
    for (; *text != '\0'; text++) n += *text == '\n';
    return n;
}

static void draw_lines(struct text_buffer *out, const char *text, double top, double size)
{
    for (int64_t line = 1; *text != '\0'; line++) {
        const char *end = strchr(text, '\n');
        char *row = text_format("%.*s", end != NULL ? (int)(end - text) : (int)strlen(text), text);
        text_printf(out, "<text x=\"%g\" y=\"%g\" font-size=\"%g\">", size / 2,
                    top + (double)line * 1.4 * size, size);
        append_escaped(out, row);
        text_append(out, "</text>\n");
        free(row);
        text += end != NULL ? end - text + 1 : (int64_t)strlen(text);
    }
}

void predict_svg(struct text_buffer *out, const struct prediction *p)
{
    struct text_buffer answers = {0};
    const struct ask *ask = p->ask;
    const double size = (double)ask->width / 40 + 4;
    predict_text(&answers, p);
    const double bottom =
        (double)ask->height + 1.4 * size * ((double)count_lines(text_of(&answers)) + 1);
    text_printf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %" PRId64 " %g\" "
                "font-family=\"sans-serif\">\n<image width=\"%" PRId64 "\" height=\"%" PRId64
                "\" href=\"data:image/%s;base64,",
                ask->width, bottom, ask->width, ask->height,
                ask->picture.bytes[0] == 0xff ? "jpeg" : "png");
    base64_append(out, ask->picture.bytes, ask->picture.size);
    text_append(out, "\"/>\n");
    for (int64_t i = 0; i < p->regions->n; i++) {
        draw_mask(out, &p->regions->masks[i], colour_of(i));
        draw_box(out, p->regions->boxes[i], i, size);
    }
    const bool own = p->regions->n == 0 && p->graph != NULL; /* boxes of the model's own */
    for (int64_t i = 0; own && i < p->graph->graph.n_objects; i++)
        if (p->graph->graph.objects[i].has_box)
            draw_box(out, p->graph->graph.objects[i].box, i, size);
    draw_lines(out, text_of(&answers), (double)ask->height, size);
    text_append(out, "</svg>\n");
    text_release(&answers);
}
