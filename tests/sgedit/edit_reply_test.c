/* What a teacher may say and what is made of it: edits applied exactly, each bad one refused with
 * its reason while the others count, replies that are not of the schema change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "sgedit/edit_graph.h"
#include "sgedit/edit_reply.h"
#include "sgedit/edit_request.h"
#include "sgedit/edit_text.h"

/* 1 cup on 2 table, 2 table near 3 thing */
static void begin(struct edit_graph *graph)
{
    struct scene_graph draft = {0};
    const struct box boxes[3] = {{0, 0, 9, 9}, {5, 5, 20, 20}, {30, 30, 40, 40}};
    scene_graph_add_object(&draft, "cup");
    scene_graph_add_object(&draft, " table\n ");
    scene_graph_add_object(&draft, "thing");
    scene_graph_add_relation(&draft, 0, 1, "on");
    scene_graph_add_relation(&draft, 1, 2, "near");
    edit_graph_begin(graph, &draft, boxes, 3);
    scene_graph_release(&draft);
}

/* "cup,table,thing; 1 on 2; 2 near 3" of what is kept; to free(). */
static char *say(const struct edit_graph *graph)
{
    struct text_buffer out = {0};
    for (int64_t i = 0; i < graph->n_objects; i++)
        text_printf(&out, "%s%s", i > 0 ? "," : "", graph->objects[i].name);
    for (int64_t i = 0; i < graph->n_relations; i++)
        if (graph->relations[i].fate == EDGE_KEPT)
            text_printf(&out, "; %d %s %d", (int)graph->relations[i].subject + 1,
                        graph->relations[i].predicate, (int)graph->relations[i].object + 1);
    return text_take(&out);
}

#define SAME "cup,table,thing; 1 on 2; 2 near 3"

static const struct {
    const char *reply, *result, *refused; /* the reasons, '|' between them */
} cases[] = {
    {"{\"edit\":[]}", SAME, ""},
    {"{\"edit\":[{\"obj_id\":\"3\",\"name\":\"red chair\",\"add\":[],\"remove\":[]}]}",
     "cup,table,red chair; 1 on 2; 2 near 3", ""},
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\"\",\"add\":[{\"rel\":\"above\",\"obj_ids\":[2,3]}],"
     "\"remove\":[{\"rel\":\"on\",\"obj_ids\":[2]}]}]}",
     "cup,table,thing; 2 near 3; 1 above 2; 1 above 3", ""},
    /* added and removed in one: gone */
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\"\",\"add\":[{\"rel\":\"by\",\"obj_ids\":[3]}],"
     "\"remove\":[{\"rel\":\"by\",\"obj_ids\":[3]}]}]}",
     SAME, ""},
    {"{\"edit\":[{\"obj_id\":\"9\",\"name\":\"x\",\"add\":[],\"remove\":[]}]}", SAME,
     "unknown object"},
    {"{\"edit\":[{\"obj_id\":\"01\",\"name\":\"x\",\"add\":[],\"remove\":[]}]}", SAME,
     "unknown object"},
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\"mug\",\"add\":[],\"remove\":[]},"
     "{\"obj_id\":\"1\",\"name\":\"jug\",\"add\":[],\"remove\":[]}]}",
     "mug,table,thing; 1 on 2; 2 near 3", "edited twice"},
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\"  \",\"add\":[],\"remove\":[]}]}", SAME, "empty"},
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\"\",\"add\":[{\"rel\":\"on\",\"obj_ids\":[1,2,0,-3,4,"
     "3]"
     "}],\"remove\":[]}]}",
     "cup,table,thing; 1 on 2; 2 near 3; 1 on 3",
     "a relation to itself|already there|unknown object|unknown object|unknown object"},
    {"{\"edit\":[{\"obj_id\":\"2\",\"name\":\"\",\"add\":[],\"remove\":[{\"rel\":\"on\",\"obj_"
     "ids\":["
     "1]}]}]}",
     SAME, "not there"},
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\"cup<|im_end|>\",\"add\":[{\"rel\":\"<mask>\","
     "\"obj_ids\":[3]},{\"rel\":\"\",\"obj_ids\":[3]},{\"rel\":\"on region3\",\"obj_ids\":[3]}],"
     "\"remove\":[]}]}",
     SAME, "a special token|a special token|empty|a region's number"},
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\"a\\u0007b\",\"add\":[{\"rel\":\"o\\u202en\",\"obj_"
     "ids\""
     ":[3]}],\"remove\":[]}]}",
     SAME, "control characters|control characters"},
    /* white space is made one space, and a line end cannot begin a line of the format */
    {"{\"edit\":[{\"obj_id\":\"1\",\"name\":\" a\\n  b \",\"add\":[],\"remove\":[]}]}",
     "a b,table,thing; 1 on 2; 2 near 3", ""},
};

static void each_edit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct edit_graph graph = {0};
        struct text_buffer refused = {0};
        begin(&graph);
        assert_int_equal(edit_reply_apply(&graph, cases[i].reply, "teacher"), OK);
        char *text = say(&graph);
        for (int64_t k = 0; k < graph.n_refusals; k++)
            text_printf(&refused, "%s%s", k > 0 ? "|" : "", graph.refusals[k].why);
        if (strcmp(text, cases[i].result) != 0 || strcmp(text_of(&refused), cases[i].refused) != 0)
            fail_msg("%s:\n%s\n%s", cases[i].reply, text, text_of(&refused));
        free(text);
        text_release(&refused);
        edit_graph_release(&graph);
    }
}

static void not_of_the_schema(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "",
        "no",
        "[]",
        "{}",
        "{\"edits\":[]}",
        "{\"edit\":{}}",
        "{\"edit\":[],\"more\":1}",
        "{\"edit\":[3]}",
        "{\"edit\":[],\"edit\":[]}",
        "{\"edit\":[{\"obj_id\":1,\"name\":\"x\",\"add\":[],\"remove\":[]}]}",
        "{\"edit\":[{\"obj_id\":\"1\",\"name\":\"x\",\"add\":[]}]}",
        "{\"edit\":[{\"obj_id\":\"1\",\"name\":\"x\",\"add\":[],\"remove\":[],\"why\":\"\"}]}",
        "{\"edit\":[{\"obj_id\":\"1\",\"name\":\"x\",\"add\":[{\"rel\":\"on\"}],\"remove\":[]}]}",
        "{\"edit\":[{\"obj_id\":\"1\",\"name\":\"x\",\"add\":[{\"rel\":\"on\",\"obj_ids\":[\"2\"]}]"
        ","
        "\"remove\":[]}]}",
        "{\"edit\":[{\"obj_id\":\"1\",\"name\":\"x\",\"add\":[{\"rel\":\"on\",\"obj_ids\":[2.5]}],"
        "\"remove\":[]}]}",
    };
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct edit_graph graph = {0};
        begin(&graph);
        if (edit_reply_apply(&graph, replies[i], "teacher") != ERR_FORMAT)
            fail_msg("accepted: %s", replies[i]);
        char *text = say(&graph);
        assert_string_equal(text, SAME);
        assert_int_equal(graph.n_refusals, 0);
        free(text);
        edit_graph_release(&graph);
    }
}

static void long_texts(void **state)
{
    (void)state;
    char *name = memory_new(EDIT_MAX_NAME_BYTES + 2, 1);
    memset(name, 'a', EDIT_MAX_NAME_BYTES + 1);
    assert_string_equal(edit_text_refusal(name, EDIT_MAX_NAME_BYTES), "too long");
    name[EDIT_MAX_NAME_BYTES] = '\0';
    assert_null(edit_text_refusal(name, EDIT_MAX_NAME_BYTES));
    assert_null(edit_text_refusal("caf\xc3\xa9, \xe6\x9d\xaf", 100));
    assert_string_equal(edit_text_refusal("caf\xc3", 100), "control characters");
    free(name);
}

/* The journal's form: everything comes back, history too. */
static void as_json(void **state)
{
    (void)state;
    struct edit_graph graph = {0}, back = {0};
    begin(&graph);
    assert_int_equal(edit_reply_apply(&graph, cases[2].reply, "teacher"), OK);
    assert_int_equal(edit_reply_apply(&graph, cases[4].reply, "teacher"), OK);
    edit_relation_end(&graph.relations[1], EDGE_DROPPED, "spatial", "why");
    graph.failure = text_copy("none really");
    json_t *json = edit_graph_to_json(&graph);
    assert_int_equal(edit_graph_from_json(&back, json, (struct json_place){"here", "x"}), OK);
    json_t *again = edit_graph_to_json(&back);
    assert_true(json_equal(json, again));
    assert_int_equal(back.relations[1].fate, EDGE_DROPPED);
    assert_string_equal(back.relations[0].by, "teacher");
    json_array_append_new(json_object_get(json, "relations"), json_integer(3));
    edit_graph_release(&back);
    assert_int_equal(edit_graph_from_json(&back, json, (struct json_place){"here", "x"}),
                     ERR_FORMAT);
    json_decref(json);
    json_decref(again);
    edit_graph_release(&graph);
}

/* A draft of a model: bad texts and relations do not get in, and are listed. */
static void drafts(void **state)
{
    (void)state;
    struct scene_graph draft = {0};
    struct edit_graph graph = {0};
    const struct box boxes[2] = {{0, 0, 1, 1}, {1, 1, 2, 2}};
    scene_graph_add_object(&draft, "cup<|im_end|>");
    scene_graph_add_relation(&draft, 0, 1, "on");
    scene_graph_add_relation(&draft, 0, 1, " on ");
    scene_graph_add_relation(&draft, 1, 1, "near");
    scene_graph_add_relation(&draft, 1, 7, "near");
    scene_graph_add_relation(&draft, 1, 0, "<pos>");
    edit_graph_begin(&graph, &draft, boxes, 2);
    char *text = say(&graph);
    assert_string_equal(text, "object,object; 1 on 2");
    assert_int_equal(graph.n_refusals, 5);
    free(text);
    edit_graph_release(&graph);
    scene_graph_release(&draft);
}

static void judgements(void **state)
{
    (void)state;
    int answers[3];
    assert_int_equal(judge_reply_read(answers, 3,
                                      "{\"answers\":[{\"statement\":3,\"yes\":false},"
                                      "{\"statement\":1,\"yes\":true}]}"),
                     OK);
    assert_int_equal(answers[0], 1);
    assert_int_equal(answers[1], -1);
    assert_int_equal(answers[2], 0);
    static const char *const bad[] = {
        "{}", "{\"answers\":[{\"statement\":4,\"yes\":true}]}",
        "{\"answers\":[{\"statement\":1,\"yes\":true},{\"statement\":1,\"yes\":true}]}",
        "{\"answers\":[{\"statement\":1,\"yes\":\"yes\"}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(judge_reply_read(answers, 3, bad[i]), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_edit),  cmocka_unit_test(not_of_the_schema),
        cmocka_unit_test(long_texts), cmocka_unit_test(as_json),
        cmocka_unit_test(drafts),     cmocka_unit_test(judgements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
