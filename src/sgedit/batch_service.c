/* See batch_service.h. */
#include "sgedit/batch_service.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_file.h"
#include "base/text_buffer.h"
#include "sgedit/service_error.h"

#define BOUNDARY "robin-dist-7c1e0b5f2d9a4e38"

static bool helps_to_retry(const struct http_response *response)
{
    return response->code == 0 || response->code == 429 || response->code >= 500;
}

static double wait_of(const struct config_teacher *config, int tries,
                      const struct http_response *response)
{
    double wait = config->backoff_seconds;
    for (int i = 0; i < tries && wait < config->max_backoff_seconds; i++) wait *= 2;
    if (wait > config->max_backoff_seconds) wait = config->max_backoff_seconds;
    return response->retry_after_seconds > wait ? response->retry_after_seconds : wait;
}

static enum status collect(struct http_client *client, struct http_response *response)
{
    enum status status = OK;
    bool got = false;
    while (!got) TRY(http_client_collect(client, 200, response, &got));
out:
    return status;
}

/* The body of a 200, to free(). */
static enum status call(const struct batch_service *service, const struct http_request *request,
                        char **body_out, size_t *size_out)
{
    enum status status = OK;
    struct http_response response = {0};
    char *said = NULL;
    for (int tries = 0;; tries++) {
        http_response_release(&response);
        TRY(http_client_start(service->client, request));
        TRY(collect(service->client, &response));
        if (response.code == 200) break;
        free(said);
        said = service_error_text(&response);
        TRY(service_error_check(&response, said));
        if (!helps_to_retry(&response) || tries + 1 >= service->config->tries)
            FAIL(ERR_IO, "the teacher's batch interface: %s: %ld %s", request->path, response.code,
                 said);
        usleep((useconds_t)(1e6 * wait_of(service->config, tries, &response)));
    }
    *body_out = response.body;
    *size_out = response.size;
    response.body = NULL;
out:
    free(said);
    http_response_release(&response);
    return status;
}

static enum status call_json(const struct batch_service *service,
                             const struct http_request *request, json_t **root_out)
{
    enum status status = OK;
    char *body = NULL;
    size_t size = 0;
    TRY(call(service, request, &body, &size));
    TRY(json_line_parse(root_out, body, size, request->path, 1));
out:
    free(body);
    return status;
}

static enum status take_id(char **id_out, const json_t *root, const char *path)
{
    enum status status = OK;
    const char *id = json_string_value(json_object_get(root, "id"));
    if (id == NULL || id[0] == '\0' || strpbrk(id, "/?#% ") != NULL)
        FAIL(ERR_FORMAT, "the teacher's batch interface: %s: no id in the answer", path);
    *id_out = text_copy(id);
out:
    return status;
}

enum status batch_service_upload(const struct batch_service *service, const char *lines,
                                 size_t size, char **file_out)
{
    enum status status = OK;
    struct text_buffer body = {0};
    json_t *root = NULL;
    text_append(&body, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n"
                       "batch\r\n--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"; "
                       "filename=\"batch.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n");
    text_append_bytes(&body, lines, size);
    text_append(&body, "\r\n--" BOUNDARY "--\r\n");
    const struct http_request request = {.path = "/files",
                                         .content_type = "multipart/form-data; boundary=" BOUNDARY,
                                         .body = body.text,
                                         .size = body.length};
    TRY(call_json(service, &request, &root));
    TRY(take_id(file_out, root, request.path));
out:
    json_decref(root);
    text_release(&body);
    return status;
}

/* The batch among the newest that was made of the file; NULL if there is none. */
static enum status find_batch(const struct batch_service *service, const char *file,
                              char **batch_out)
{
    enum status status = OK;
    json_t *root = NULL;
    const struct http_request request = {.path = "/batches?limit=100"};
    TRY(call_json(service, &request, &root));
    const json_t *list = json_object_get(root, "data");
    for (size_t i = 0; i < json_array_size(list) && *batch_out == NULL; i++) {
        const json_t *batch = json_array_get(list, i);
        const char *input = json_string_value(json_object_get(batch, "input_file_id"));
        if (input != NULL && strcmp(input, file) == 0) TRY(take_id(batch_out, batch, request.path));
    }
out:
    json_decref(root);
    return status;
}

enum status batch_service_make(const struct batch_service *service, const char *file, bool look,
                               char **batch_out)
{
    enum status status = OK;
    json_t *root = NULL;
    char *body = NULL;
    *batch_out = NULL;
    if (look) TRY(find_batch(service, file, batch_out));
    if (*batch_out != NULL) goto out;
    body = text_format("{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\","
                       "\"completion_window\":\"24h\"}",
                       file);
    const struct http_request request = {
        .path = "/batches", .content_type = "application/json", .body = body, .size = strlen(body)};
    TRY(call_json(service, &request, &root));
    TRY(take_id(batch_out, root, request.path));
out:
    free(body);
    json_decref(root);
    return status;
}

void batch_answer_release(struct batch_answer *answer)
{
    free(answer->status);
    free(answer->output);
    free(answer->errors);
    free(answer->why);
    *answer = (struct batch_answer){0};
}

static char *copy_id(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && strpbrk(text, "/?#% ") == NULL ? text_copy(text) : NULL;
}

/* {data: [{code, message}]} */
static void read_failure(struct batch_answer *answer, const json_t *errors)
{
    const json_t *list = json_object_get(errors, "data");
    answer->why = json_dumps(errors, JSON_COMPACT | JSON_ENCODE_ANY);
    for (size_t i = 0; i < json_array_size(list); i++)
        answer->spent = answer->spent || service_error_is_spent(json_array_get(list, i));
}

enum status batch_service_ask(const struct batch_service *service, const char *batch,
                              struct batch_answer *answer_out)
{
    enum status status = OK;
    json_t *root = NULL;
    char *path = text_format("/batches/%s", batch);
    const struct http_request request = {.path = path};
    TRY(call_json(service, &request, &root));
    const char *state = json_string_value(json_object_get(root, "status"));
    if (state == NULL) FAIL(ERR_FORMAT, "the teacher's batch interface: %s: no status", path);
    *answer_out = (struct batch_answer){.ended = strcmp(state, "completed") == 0 ||
                                                 strcmp(state, "expired") == 0 ||
                                                 strcmp(state, "cancelled") == 0,
                                        .failed = strcmp(state, "failed") == 0,
                                        .status = text_copy(state),
                                        .output = copy_id(json_object_get(root, "output_file_id")),
                                        .errors = copy_id(json_object_get(root, "error_file_id"))};
    if (answer_out->failed) read_failure(answer_out, json_object_get(root, "errors"));
out:
    json_decref(root);
    free(path);
    return status;
}

enum status batch_service_fetch(const struct batch_service *service, const char *file,
                                char **text_out, size_t *size_out)
{
    char *path = text_format("/files/%s/content", file);
    const struct http_request request = {.path = path, .max_reply = HTTP_MAX_FILE_BYTES};
    const enum status status = call(service, &request, text_out, size_out);
    free(path);
    return status;
}
