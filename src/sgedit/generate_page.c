/* See generate_page.h. Every text of a record or teacher reaches the page escaped. */
#include "sgedit/generate_page.h"

#include <inttypes.h>
#include <string.h>

#include "base/base64.h"
#include "report/chart_svg.h"
#include "sgedit/generate_output.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>generated graphs"
    "</title><style>\n"
    "body{font:14px sans-serif;margin:2em;color:#222}pre{background:#f4f4f4;padding:1em}\n"
    "section{display:flex;gap:2em;border-top:1px solid #bbb;padding:1em 0}\n"
    "svg{width:30em;flex:none;align-self:flex-start}\n"
    "table{border-collapse:collapse}td{padding:.1em .8em .1em 0;vertical-align:top}\n"
    ".removed td,.dropped td{color:#a3341f;text-decoration:line-through}\n"
    ".added td{color:#1b6b3a}.why{color:#666;text-decoration:none!important}\n"
    "h2{font-size:1.1em;margin:.2em 0}h3{font-size:1em;margin:.8em 0 .2em}\n"
    "</style></head><body>\n<h1>Generated graphs</h1>\n<p>Struck through: removed by the teacher "
    "or "
    "dropped by a filter. Green: added. The rest is as drafted.</p>\n";

static void append_picture(struct text_buffer *out, const struct record *record)
{
    if (record->image_size == 0) return;
    const double size = (double)record->width / 32;
    text_printf(out,
                "<svg viewBox=\"0 0 %" PRId64 " %" PRId64 "\" role=\"img\"><image width=\"%" PRId64
                "\" height=\"%" PRId64 "\" href=\"data:image/%s;base64,",
                record->width, record->height, record->width, record->height,
                record->image[0] == 0xff ? "jpeg" : "png");
    base64_append(out, record->image, record->image_size);
    text_append(out, "\"/>\n");
    for (int64_t i = 0; i < record->n_regions; i++) {
        const struct box box = record->regions[i].box;
        text_printf(out,
                    "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" fill=\"none\" "
                    "stroke=\"#fff\" stroke-width=\"%g\"/><rect x=\"%g\" y=\"%g\" width=\"%g\" "
                    "height=\"%g\" fill=\"none\" stroke=\"#0b5cad\" stroke-width=\"%g\"/>"
                    "<text x=\"%g\" y=\"%g\" font-size=\"%g\" stroke=\"#fff\" stroke-width=\"%g\" "
                    "paint-order=\"stroke\" fill=\"#0b5cad\">%" PRId64 "</text>\n",
                    box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1, size / 4, box.x1, box.y1,
                    box.x2 - box.x1, box.y2 - box.y1, size / 8, box.x1 + size / 4, box.y1 + size,
                    size, size / 6, i + 1);
    }
    text_append(out, "</svg>\n");
}

static void append_objects(struct text_buffer *out, const struct edit_graph *graph)
{
    text_append(out, "<h3>Objects</h3><table>");
    for (int64_t i = 0; i < graph->n_objects; i++) {
        const struct edit_object *object = &graph->objects[i];
        const bool renamed = strcmp(object->name, object->draft_name) != 0;
        text_printf(out, "<tr class=\"%s\"><td>%" PRId64 "</td><td>",
                    object->dropped ? "dropped" : "kept", i + 1);
        if (renamed) {
            text_append(out, "<del>");
            append_escaped(out, object->draft_name);
            text_append(out, "</del> <ins>");
        }
        append_escaped(out, object->name);
        text_append(out, renamed ? "</ins></td>" : "</td>");
        text_append(out, "<td class=\"why\">");
        append_escaped(out, object->why);
        text_append(out, "</td></tr>\n");
    }
    text_append(out, "</table>");
}

static void append_relation(struct text_buffer *out, const struct edit_graph *graph,
                            const struct edit_relation *relation)
{
    const char *class = relation->fate != EDGE_KEPT      ? edge_fate_names[relation->fate]
                        : relation->origin == EDGE_ADDED ? "added"
                                                         : "kept";
    text_printf(out, "<tr class=\"%s\"><td>%" PRId64 " ", class, relation->subject + 1);
    append_escaped(out, graph->objects[relation->subject].name);
    text_append(out, "</td><td>");
    append_escaped(out, relation->predicate);
    text_printf(out, "</td><td>%" PRId64 " ", relation->object + 1);
    append_escaped(out, graph->objects[relation->object].name);
    text_append(out, "</td><td class=\"why\">");
    append_escaped(out, relation->by);
    text_append(out, relation->by[0] != '\0' ? ": " : "");
    append_escaped(out, relation->why);
    text_append(out, "</td></tr>\n");
}

static void append_graph(struct text_buffer *out, const struct edit_graph *graph)
{
    append_objects(out, graph);
    text_append(out, "<h3>Relations</h3><table>");
    for (int64_t i = 0; i < graph->n_relations; i++)
        append_relation(out, graph, &graph->relations[i]);
    text_append(out, "</table>");
    if (graph->n_refusals > 0) text_append(out, "<h3>Refused edits</h3><table>");
    for (int64_t i = 0; i < graph->n_refusals; i++) {
        text_append(out, "<tr><td>");
        append_escaped(out, graph->refusals[i].edit);
        text_append(out, "</td><td class=\"why\">");
        append_escaped(out, graph->refusals[i].why);
        text_append(out, "</td></tr>\n");
    }
    if (graph->n_refusals > 0) text_append(out, "</table>");
}

static enum status append_item(struct text_buffer *out, const struct generate_output *output,
                               int64_t item)
{
    enum status status = OK;
    struct edit_graph graph = {0};
    struct record record = {0};
    TRY(generate_read_item(&graph, &record, output, item));
    text_append(out, "<section>\n");
    append_picture(out, &record);
    text_append(out, "<div><h2>");
    append_escaped(out, record.id);
    text_append(out, "</h2>");
    if (graph.failure != NULL) {
        text_append(out, "<p class=\"why\">failed: ");
        append_escaped(out, graph.failure);
        text_append(out, "</p>");
    }
    if (graph.n_proposals > 0)
        text_printf(out,
                    "<p class=\"why\">%" PRId64 " regions proposed, %" PRId64
                    " of them without annotation</p>",
                    graph.n_proposals, graph.n_unannotated);
    append_graph(out, &graph);
    text_append(out, "</div></section>\n");
out:
    record_release(&record);
    edit_graph_release(&graph);
    return status;
}

enum status generate_page(struct text_buffer *out, const struct generate_output *output,
                          const char *summary)
{
    enum status status = OK;
    const int64_t wanted = output->config->generate.samples;
    const int64_t n = wanted < output->n_items ? wanted : output->n_items;
    text_append(out, head);
    text_append(out, "<pre>");
    append_escaped(out, summary);
    text_append(out, "</pre>\n");
    for (int64_t i = 0; i < n; i++)
        TRY_WHERE(append_item(out, output, i * output->n_items / n), "page");
    text_append(out, "</body></html>\n");
out:
    return status;
}
