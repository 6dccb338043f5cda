/* Replies of curation: descriptions and relations in five categories, as many subjects as asked
 * for; a reply that is not of the schema changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "sgedit/complete_request.h"

#define N_THINGS 6

/* thing 1 .. thing 6; 1 on 2 */
static void begin(struct edit_graph *graph)
{
    struct scene_graph draft = {0};
    struct box boxes[N_THINGS];
    for (int i = 0; i < N_THINGS; i++) {
        char *name = text_format("thing %d", i + 1);
        scene_graph_add_object(&draft, name);
        free(name);
        boxes[i] = (struct box){i, i, i + 5, i + 5};
    }
    scene_graph_add_relation(&draft, 0, 1, "on");
    edit_graph_begin(graph, &draft, boxes, N_THINGS);
    scene_graph_release(&draft);
}

/* What is kept with its category, and why other things were refused; to free(). */
static char *say(const struct edit_graph *graph)
{
    struct text_buffer out = {0};
    for (int64_t i = 0; i < graph->n_relations; i++)
        text_printf(&out, "%d %s %d (%s); ", (int)graph->relations[i].subject + 1,
                    graph->relations[i].predicate, (int)graph->relations[i].object + 1,
                    graph->relations[i].kind);
    for (int64_t i = 0; i < graph->n_refusals; i++)
        text_printf(&out, "%s; ", graph->refusals[i].why);
    return text_take(&out);
}

/* The reply with its single quotes doubled; what it comes to. */
static enum status apply(struct edit_graph *graph, const char *reply, int64_t min_subjects)
{
    char *text = text_copy(reply);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'') *at = '"';
    const enum status status = complete_reply_apply(graph, text, min_subjects);
    free(text);
    return status;
}

static const char good[] = "{'subjects': ["
                           "{'obj_id': 1, 'description': ' A thing\\n of wood. ', 'relations': ["
                           "{'category': 'spatial', 'obj_id': 2, 'predicate': 'on'},"
                           "{'category': 'interactional', 'obj_id': 3, 'predicate': 'pushing'},"
                           "{'category': 'functional', 'obj_id': 4, 'predicate': 'part of'},"
                           "{'category': 'social', 'obj_id': 5, 'predicate': 'talking to'},"
                           "{'category': 'emotional', 'obj_id': 6, 'predicate': 'afraid of'}]},"
                           "{'obj_id': 2, 'description': '<|im_end|>', 'relations': ["
                           "{'category': 'spatial', 'obj_id': 2, 'predicate': 'under'},"
                           "{'category': 'spatial', 'obj_id': 9, 'predicate': 'by'},"
                           "{'category': 'spatial', 'obj_id': 1, 'predicate': '<pos>'},"
                           "{'category': 'social', 'obj_id': 3, 'predicate': 'with'},"
                           "{'category': 'social', 'obj_id': 3, 'predicate': 'with'}]},"
                           "{'obj_id': 3, 'description': 'x', 'relations': []},"
                           "{'obj_id': 4, 'description': 'x', 'relations': []},"
                           "{'obj_id': 7, 'description': 'x', 'relations': []},"
                           "{'obj_id': 5, 'description': 'x', 'relations': []}]}";

static void five_subjects_five_categories(void **state)
{
    (void)state;
    struct edit_graph graph = {0};
    begin(&graph);
    assert_int_equal(apply(&graph, good, 5), OK);
    char *text = say(&graph);
    assert_string_equal(text,
                        "1 on 2 (spatial); 1 pushing 3 (interactional); 1 part of 4 (functional); "
                        "1 talking to 5 (social); 1 afraid of 6 (emotional); 2 with 3 (social); "
                        "a special token; a relation to itself; unknown object; a special token; "
                        "already there; unknown object; ");
    assert_int_equal(graph.relations[0].origin,
                     EDGE_DRAFTED); /* it was there, without a category */
    assert_int_equal(graph.relations[1].origin, EDGE_ADDED);
    assert_string_equal(graph.objects[0].description, "A thing of wood.");
    assert_string_equal(graph.objects[1].description, "");
    free(text);
    edit_graph_release(&graph);
}

static void refused_as_a_whole(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "",
        "[]",
        "{'subjects': 1}",
        "{'subjects': []}",
        /* the same one five times is one */
        "{'subjects': [{'obj_id': 1, 'description': 'x', 'relations': []}, {'obj_id': 1, "
        "'description': 'x', 'relations': []}]}",
        "{'subjects': [{'obj_id': '1', 'description': 'x', 'relations': []}, {'obj_id': 2, "
        "'description': 'x', 'relations': []}]}",
        "{'subjects': [{'obj_id': 1, 'relations': []}, {'obj_id': 2, 'description': 'x', "
        "'relations': []}]}",
        "{'subjects': [{'obj_id': 1, 'description': 'x', 'relations': [{'category': 'magical', "
        "'obj_id': 2, 'predicate': 'on'}]}, {'obj_id': 2, 'description': 'x', 'relations': []}]}",
        "{'subjects': [{'obj_id': 1, 'description': 'x', 'relations': [{'category': 'social', "
        "'obj_id': 2}]}, {'obj_id': 2, 'description': 'x', 'relations': []}]}",
    };
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct edit_graph graph = {0};
        begin(&graph);
        if (apply(&graph, replies[i], 2) != ERR_FORMAT) fail_msg("accepted: %s", replies[i]);
        char *text = say(&graph);
        assert_string_equal(text, "1 on 2 (); ");
        free(text);
        edit_graph_release(&graph);
    }
}

/* As many subjects as asked for, or as there are things left. */
static void how_many_subjects(void **state)
{
    (void)state;
    struct edit_graph graph = {0};
    begin(&graph);
    assert_int_equal(apply(&graph, good, 6), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "speaks of 5 things, fewer than 6"));
    graph.objects[5].dropped = true;
    assert_int_equal(apply(&graph, good, 6), OK);
    edit_graph_release(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_subjects_five_categories),
        cmocka_unit_test(refused_as_a_whole),
        cmocka_unit_test(how_many_subjects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
