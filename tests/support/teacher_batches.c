/* See teacher_batches.h. A batch is worked on when it is asked about: validating, in_progress, then
 * done. Results come in reverse order; every fifth line comes twice. */
#include "support/teacher_batches.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void teacher_batches_init(struct teacher_batches *batches, bool expire_first, bool fail_first)
{
    pthread_mutex_init(&batches->mutex, NULL);
    batches->expire_first = expire_first;
    batches->fail_first = fail_first;
}

void teacher_batches_release(struct teacher_batches *batches)
{
    for (int64_t i = 0; i < batches->n_files; i++) {
        free(batches->files[i].id);
        free(batches->files[i].text);
    }
    for (int64_t i = 0; i < batches->n_batches; i++) {
        free(batches->batches[i].id);
        free(batches->batches[i].input);
        free(batches->batches[i].output);
        free(batches->batches[i].errors);
    }
    free(batches->files);
    free(batches->batches);
    pthread_mutex_destroy(&batches->mutex);
}

static const char *add_file(struct teacher_batches *batches, char *text)
{
    const int64_t n = batches->n_files++;
    batches->files =
        memory_resize(batches->files, (size_t)batches->n_files, sizeof *batches->files);
    batches->files[n] = (struct batch_file){text_format("file-%" PRId64, n), text};
    return batches->files[n].id;
}

static const struct batch_file *find_file(const struct teacher_batches *batches, const char *id)
{
    for (int64_t i = 0; i < batches->n_files; i++)
        if (strcmp(batches->files[i].id, id) == 0) return &batches->files[i];
    return NULL;
}

static struct batch_state *find_batch(const struct teacher_batches *batches, const char *id)
{
    for (int64_t i = 0; i < batches->n_batches; i++)
        if (strcmp(batches->batches[i].id, id) == 0) return &batches->batches[i];
    return NULL;
}

/* The part of a multipart body that is the file: between the empty line of its head and the
 * boundary. */
static char *take_upload(const struct text_buffer *body)
{
    const char *text = text_of(body);
    const char *name = strstr(text, "name=\"file\"");
    const char *begin = name == NULL ? NULL : strstr(name, "\r\n\r\n");
    const char *end = begin == NULL ? NULL : strstr(begin + 4, "\r\n--");
    return end == NULL ? NULL : text_format("%.*s", (int)(end - begin - 4), begin + 4);
}

static void add_result(struct text_buffer *out, const char *id, unsigned code, const char *body)
{
    text_printf(out,
                "{\"id\":\"r\",\"custom_id\":\"%s\",\"response\":{\"status_code\":%u,"
                "\"request_id\":\"q\",\"body\":%s},\"error\":null}\n",
                id, code, body);
}

static void work_on_line(struct teacher_server *server, const char *line, int number,
                         struct text_buffer *output, struct text_buffer *errors)
{
    unsigned code = 200;
    json_t *json = json_loads(line, 0, NULL);
    const char *id = json_string_value(json_object_get(json, "custom_id"));
    if (id != NULL) {
        char *text = teacher_server_complete(server, id, json_object_get(json, "body"), &code);
        json_t *whole = json_loads(text, 0, NULL);
        if (whole == NULL) { /* a batch's result cannot be broken JSON */
            free(text);
            text = text_copy("{}");
        }
        if (code == 200) teacher_server_pay(server, id);
        struct text_buffer one = {0};
        add_result(&one, id, code, text);
        if (code == 200) {
            char *rest = text_take(output);
            text_printf(output, "%s%s%s", text_of(&one), number % 5 == 0 ? text_of(&one) : "",
                        rest);
            free(rest);
        } else {
            text_append(errors, text_of(&one));
        }
        text_release(&one);
        json_decref(whole);
        free(text);
    }
    json_decref(json);
}

static void work_on(struct teacher_batches *batches, struct teacher_server *server,
                    struct batch_state *batch, bool expires)
{
    struct text_buffer output = {0}, errors = {0};
    const struct batch_file *input = find_file(batches, batch->input);
    int number = 0;
    for (const char *at = input->text; *at != '\0'; number++) {
        const size_t n = strcspn(at, "\n");
        char *line = text_format("%.*s", (int)n, at);
        if (!expires || number % 2 == 0) {
            work_on_line(server, line, number, &output, &errors);
        } else {
            json_t *json = json_loads(line, 0, NULL);
            text_printf(&errors,
                        "{\"id\":\"r\",\"custom_id\":\"%s\",\"response\":null,\"error\":{\"code\":"
                        "\"batch_expired\",\"message\":\"too late\"}}\n",
                        json_string_value(json_object_get(json, "custom_id")));
            json_decref(json);
        }
        free(line);
        at += n + (at[n] == '\n');
    }
    if (output.length > 0) batch->output = text_copy(add_file(batches, text_take(&output)));
    if (errors.length > 0) batch->errors = text_copy(add_file(batches, text_take(&errors)));
    text_release(&output);
    text_release(&errors);
    batch->status = expires ? "expired" : "completed";
}

static char *batch_json(const struct batch_state *batch)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "id", batch->id, "input_file_id",
                             batch->input, "status", batch->status, "output_file_id", batch->output,
                             "error_file_id", batch->errors);
    if (batch->failed)
        json_object_set_new(root, "errors",
                            json_pack("{s:[{s:s, s:s}]}", "data", "code",
                                      "billing_hard_limit_reached", "message", "no money"));
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static char *list_batches(const struct teacher_batches *batches)
{
    struct text_buffer out = {0};
    text_append(&out, "{\"data\":[");
    for (int64_t i = 0; i < batches->n_batches; i++) {
        char *one = batch_json(&batches->batches[i]);
        text_printf(&out, "%s%s", i > 0 ? "," : "", one);
        free(one);
    }
    text_append(&out, "]}");
    return text_take(&out);
}

static char *create_batch(struct teacher_batches *batches, const struct text_buffer *body,
                          unsigned *code_out)
{
    json_t *root = json_loadb(text_of(body), body->length, 0, NULL);
    const char *input = json_string_value(json_object_get(root, "input_file_id"));
    char *text = NULL;
    *code_out = 400;
    if (input != NULL && find_file(batches, input) != NULL) {
        const int64_t n = batches->n_batches++;
        batches->batches =
            memory_resize(batches->batches, (size_t)batches->n_batches, sizeof *batches->batches);
        batches->batches[n] = (struct batch_state){.id = text_format("batch-%" PRId64, n),
                                                   .input = text_copy(input),
                                                   .status = "validating"};
        *code_out = 200;
        text = batch_json(&batches->batches[n]);
    }
    json_decref(root);
    return text != NULL ? text : text_copy("{\"error\":{\"message\":\"no such file\"}}");
}

static char *poll_batch(struct teacher_batches *batches, struct teacher_server *server,
                        const char *id, unsigned *code_out)
{
    struct batch_state *batch = find_batch(batches, id);
    *code_out = batch == NULL ? 404 : 200;
    if (batch == NULL) return text_copy("{\"error\":{\"message\":\"no such batch\"}}");
    batch->polls++;
    if (batch->polls == 1) batch->status = "in_progress";
    if (batch->polls == 1 && batches->fail_first && batch == batches->batches) {
        batch->status = "failed";
        batch->failed = true;
    }
    if (batch->polls == 3 && !batch->failed)
        work_on(batches, server, batch, batches->expire_first && batch == batches->batches);
    return batch_json(batch);
}

static char *give_file(const struct teacher_batches *batches, const char *url, unsigned *code_out)
{
    char *id = text_format("%.*s", (int)strcspn(url, "/"), url);
    const struct batch_file *file = find_file(batches, id);
    free(id);
    *code_out = file == NULL ? 404 : 200;
    return text_copy(file == NULL ? "{}" : file->text);
}

char *teacher_batches_answer(struct teacher_batches *batches, struct teacher_server *server,
                             const char *url, const char *method, const struct text_buffer *body,
                             unsigned *code_out)
{
    const bool posts = strcmp(method, "POST") == 0;
    char *text = NULL;
    *code_out = 404;
    pthread_mutex_lock(&batches->mutex);
    if (posts && strcmp(url, "/v1/files") == 0) {
        char *upload = take_upload(body);
        *code_out = upload == NULL ? 400 : 200;
        text = upload == NULL ? text_copy("{}")
                              : text_format("{\"id\":\"%s\"}", add_file(batches, upload));
    } else if (posts && strcmp(url, "/v1/batches") == 0) {
        text = create_batch(batches, body, code_out);
    } else if (strcmp(url, "/v1/batches") == 0) {
        text = list_batches(batches);
        *code_out = 200;
    } else if (strncmp(url, "/v1/batches/", 12) == 0) {
        text = poll_batch(batches, server, url + 12, code_out);
    } else if (strncmp(url, "/v1/files/", 10) == 0) {
        text = give_file(batches, url + 10, code_out);
    } else {
        text = text_copy("{\"error\":{\"message\":\"no such address\"}}");
    }
    pthread_mutex_unlock(&batches->mutex);
    return text;
}
