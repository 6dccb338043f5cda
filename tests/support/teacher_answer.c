/* See teacher_answer.h. The picture says which record is meant; the words hold the graph. */
#include "support/teacher_answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text_buffer.h"
#include "sgedit/annotations_teacher.h"

enum status teacher_pictures_open(struct teacher_pictures *pictures, const char *directory)
{
    enum status status = OK;
    TRY(corpus_open(&pictures->corpus, directory));
    pictures->n = corpus_size(pictures->corpus);
    pictures->hashes = memory_new((size_t)pictures->n + 1, sizeof *pictures->hashes);
    for (int64_t i = 0; i < pictures->n; i++) {
        struct record record = {0};
        TRY(corpus_read(pictures->corpus, i, &record));
        pictures->hashes[i] = content_hash(record.image, record.image_size);
        record_release(&record);
    }
out:
    return status;
}

void teacher_pictures_release(struct teacher_pictures *pictures)
{
    corpus_close(pictures->corpus);
    free(pictures->hashes);
    *pictures = (struct teacher_pictures){0};
}

/* ---- what is asked ---- */

static const json_t *part_of(const json_t *body, size_t index)
{
    const json_t *user = json_array_get(json_object_get(body, "messages"), 1);
    return json_array_get(json_object_get(user, "content"), index);
}

static enum status find_record(struct record *record, const struct teacher_pictures *pictures,
                               const json_t *body)
{
    enum status status = OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    const json_t *image = json_object_get(part_of(body, 1), "image_url");
    const char *url = json_string_value(json_object_get(image, "url"));
    const char *comma = url == NULL ? NULL : strchr(url, ',');
    if (comma == NULL || strncmp(url, "data:image/jpeg;base64,", 23) != 0)
        FAIL(ERR_FORMAT, "the first picture is no JPEG as a data URL");
    TRY(base64_decode(&bytes, &size, comma + 1, (size_t)64 << 20));
    const struct content_hash hash = content_hash(bytes, size);
    for (int64_t i = 0; i < pictures->n; i++)
        if (content_hash_compare(&hash, &pictures->hashes[i]) == 0)
            return free(bytes), corpus_read(pictures->corpus, i, record);
    FAIL(ERR_FORMAT, "nobody knows this picture");
out:
    free(bytes);
    return status;
}

/* Python's dict as JSON: quotes of either kind, keys that are numbers. */
static char *json_of_python(const char *text)
{
    struct text_buffer out = {0};
    while (*text != '\0') {
        if (*text == '\'' || *text == '"') {
            const char quote = *text++;
            text_append_char(&out, '"');
            for (; *text != quote && *text != '\0'; text++) {
                if (*text == '\\' && text[1] == '\'') text++;
                if (*text == '"') text_append_char(&out, '\\');
                text_append_char(&out, *text);
                if (*text == '\\') text_append_char(&out, *++text);
            }
            text_append_char(&out, '"');
            text++;
            continue;
        }
        const size_t digits = strspn(text, "0123456789");
        if (digits > 0 && text[digits] == ':')
            text_printf(&out, "\"%.*s\"", (int)digits, text);
        else if (digits > 0)
            text_append_bytes(&out, text, digits);
        else
            text_append_char(&out, *text);
        text += digits > 0 ? digits : 1;
    }
    return text_take(&out);
}

static void add_relations(struct edit_graph *graph, int64_t subject, const json_t *relations)
{
    const char *word;
    json_t *ids;
    json_object_foreach((json_t *)(uintptr_t)relations, word, ids)
    {
        for (size_t i = 0; i < json_array_size(ids); i++) {
            const int64_t object = json_integer_value(json_array_get(ids, i)) - 1;
            const struct edit_triple triple = {subject, object, word, ""};
            edit_graph_add(graph, &triple, EDGE_DRAFTED);
        }
    }
}

static enum status read_graph(struct edit_graph *graph, const char *text,
                              const struct record *record)
{
    enum status status = OK;
    static const char title[] = "Generated Scene Graph:\n";
    const char *at = strstr(text, title);
    struct box *boxes = memory_new((size_t)record->n_regions + 1, sizeof *boxes);
    json_error_t error;
    char *json_text = json_of_python(at == NULL ? "" : at + strlen(title));
    json_t *root = json_loads(json_text, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root))
        FAIL(ERR_FORMAT, "the words hold no graph of %d objects", (int)record->n_regions);
    edit_graph_begin(graph, &(struct scene_graph){0}, boxes, record->n_regions);
    for (int64_t i = 0; i < record->n_regions; i++) {
        char *id = text_format("%d", (int)i + 1);
        const json_t *object = json_object_get(root, id);
        const char *name = json_string_value(json_object_get(object, "name"));
        free(id);
        graph->objects[i].dropped = object == NULL;
        if (object == NULL) continue;
        if (name == NULL || json_array_size(json_object_get(object, "bbox")) != 4)
            FAIL(ERR_FORMAT, "object %d has no name or box", (int)i + 1);
        free(graph->objects[i].name);
        graph->objects[i].name = text_copy(name);
        add_relations(graph, i, json_object_get(object, "rel"));
    }
out:
    json_decref(root);
    free(json_text);
    free(boxes);
    return status;
}

/* "3. 'cup' in region[1] [0, 0, 9, 9] 'on' 'table' in region[2] [...]" */
static enum status read_statements(struct edit_graph *graph, const char *text,
                                   const struct record *record)
{
    enum status status = OK;
    struct box *boxes = memory_new((size_t)record->n_regions + 1, sizeof *boxes);
    edit_graph_begin(graph, &(struct scene_graph){0}, boxes, record->n_regions);
    for (const char *line = strchr(text, '\n'); line != NULL && line[1] != '\0';
         line = strchr(line + 1, '\n')) {
        const char *first = strstr(line + 1, "' in region[");
        const char *word = first == NULL ? NULL : strstr(first, "] '");
        const char *end = word == NULL ? NULL : strstr(word + 3, "' '");
        const char *second = end == NULL ? NULL : strstr(end, "' in region[");
        if (second == NULL) FAIL(ERR_FORMAT, "no statement: %.40s", line + 1);
        char *predicate = text_format("%.*s", (int)(end - word - 3), word + 3);
        const struct edit_triple triple = {strtoll(first + 12, NULL, 10) - 1,
                                           strtoll(second + 12, NULL, 10) - 1, predicate, ""};
        edit_graph_add(graph, &triple, EDGE_DRAFTED);
        free(predicate);
    }
out:
    free(boxes);
    return status;
}

enum status teacher_answer(char **content_out, const struct teacher_pictures *pictures,
                           const json_t *body, double noise, uint64_t seed)
{
    enum status status = OK;
    struct record record = {0};
    struct edit_graph graph = {0};
    int64_t *asked = NULL;
    const struct annotations_options options = {noise, seed};
    const json_t *format = json_object_get(json_object_get(body, "response_format"), "json_schema");
    const char *schema = json_string_value(json_object_get(format, "name"));
    const char *text = json_string_value(json_object_get(part_of(body, 0), "text"));
    if (schema == NULL || text == NULL || !json_is_true(json_object_get(format, "strict")))
        FAIL(ERR_FORMAT, "no text, or no strict schema");
    TRY(find_record(&record, pictures, body));
    struct teacher_request request = {.record = &record, .graph = &graph};
    if (strcmp(schema, "statements") == 0) {
        request.task = TEACHER_JUDGE;
        TRY(read_statements(&graph, text, &record));
        asked = memory_new((size_t)graph.n_relations + 1, sizeof *asked);
        for (int64_t i = 0; i < graph.n_relations; i++) asked[i] = i;
        request.relations = asked;
        request.n_relations = graph.n_relations;
    } else {
        const bool edits = strcmp(schema, "subjects") != 0;
        request.task = edits ? TEACHER_EDIT : TEACHER_COMPLETE;
        if (!json_is_object(part_of(body, edits ? 5 : 2)))
            FAIL(ERR_FORMAT, "an edit is asked for with five pictures, a completion with two");
        TRY(read_graph(&graph, text, &record));
    }
    *content_out = annotations_answer(&request, &options);
out:
    free(asked);
    edit_graph_release(&graph);
    record_release(&record);
    return status;
}
