/* See teacher_fixture.h. */
#include "support/teacher_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "corpus/corpus_build.h"
#include "corpus/scenes.h"
#include "sgedit/chat_teacher.h"
#include "sgedit/edit_request.h"

#define MAX_OVERRIDES 7

static enum status make_scene(void *context, int64_t item, struct record *record,
                              struct item_note *note)
{
    (void)note;
    return scenes_record(record, context, item);
}

/* Drawn scenes. */
static enum status make_corpus(struct comm *comm, const char *folder)
{
    enum status status = OK;
    struct scenes_options scenes = scenes_options_default();
    struct record_source source = {TEACHER_FIXTURE_RECORDS, &scenes, make_scene, NULL};
    struct corpus_stage stage = {0};
    struct build_summary summary = {0};
    const struct build_options options = {.shard_items = 100, .n_threads = 1};
    TRY(corpus_stage_init(&stage, folder, "scenes"));
    TRY(corpus_build(comm, &source, &stage, &options, &summary));
out:
    build_summary_release(&summary);
    corpus_stage_release(&stage);
    return status;
}

bool teacher_fixture_open(struct comm **comm_out, char *directory, char **corpus_folder_out)
{
    if (comm_create(comm_out, NULL) != OK || mkdtemp(directory) == NULL) return false;
    log_set_level(LOG_ERROR);
    *corpus_folder_out = path_join(directory, "scenes");
    const bool made = make_corpus(*comm_out, *corpus_folder_out) == OK;
    if (!made) fprintf(stderr, "%s\n", status_message());
    return made;
}

bool teacher_fixture_close(struct comm *comm, const char *directory, char *corpus_folder)
{
    const bool removed = directory_remove(directory) == OK;
    free(corpus_folder);
    comm_destroy(comm);
    return removed;
}

enum status teacher_fixture_begin(struct teacher_fixture *fixture, struct comm *comm,
                                  const struct teacher_server_options *options,
                                  const struct teacher_overrides *overrides)
{
    *fixture = (struct teacher_fixture){0};
    assert_int_equal(teacher_server_start(&fixture->server, options), OK);
    assert_int_equal(shared_counters_create(&fixture->counters, comm, TEACHER_LIMIT_COUNTERS), OK);
    assert_int_equal(corpus_open(&fixture->corpus, options->corpus), OK);
    const char *all[MAX_OVERRIDES + 1] = {"job=generate"};
    assert_true(overrides->n <= MAX_OVERRIDES);
    for (int i = 0; i < overrides->n; i++) all[i + 1] = overrides->values[i];
    if (run_config_load(&fixture->config, NULL, all, overrides->n + 1) != OK)
        fail_msg("%s", status_message());
    struct config_teacher *config = &fixture->config.teacher;
    free(config->url);
    config->url = text_format("%s://%s:%d/v1", options->certificate != NULL ? "https" : "http",
                              overrides->host != NULL ? overrides->host : "127.0.0.1",
                              teacher_server_port(fixture->server));
    free(config->key_env);
    config->key_env = text_copy(overrides->key_env);
    fixture->limits =
        (struct teacher_limits){.counters = fixture->counters, .config = config, .price_factor = 1};
    return chat_teacher_create(&fixture->teacher, config, &fixture->limits, &fixture->counts);
}

void teacher_fixture_end(struct teacher_fixture *fixture)
{
    if (fixture->teacher.release != NULL) fixture->teacher.release(fixture->teacher.context);
    shared_counters_destroy(fixture->counters);
    teacher_server_stop(fixture->server);
    corpus_close(fixture->corpus);
    run_config_release(&fixture->config);
}

void teacher_fixture_ask(struct teacher_fixture *fixture, int64_t item)
{
    struct record record = {0};
    struct edit_graph graph = {0};
    struct edit_request request = {0};
    struct teacher_call call = {0};
    const struct scene_graph none = {0};
    const struct edit_request_options options = {
        .min_added = 2, .image_side = 512, .pictures = true};
    assert_int_equal(corpus_read(fixture->corpus, item, &record), OK);
    struct box *boxes = memory_new((size_t)record.n_regions, sizeof *boxes);
    for (int64_t i = 0; i < record.n_regions; i++) boxes[i] = record.regions[i].box;
    edit_graph_begin(&graph, &none, boxes, record.n_regions);
    assert_int_equal(edit_request_make(&request, &record, &graph, &options), OK);
    assert_int_equal(request.request.n_images, 5);
    assert_int_equal(fixture->teacher.prepare(fixture->teacher.context, &call, &request.request),
                     OK);
    call.ticket = item;
    assert_int_equal(fixture->teacher.ask(fixture->teacher.context, &call), OK);
    teacher_call_release(&call);
    edit_request_release(&request);
    edit_graph_release(&graph);
    record_release(&record);
    free(boxes);
}

enum status teacher_fixture_reply(struct teacher_fixture *fixture, struct teacher_reply *reply)
{
    enum status status = OK;
    bool got = false;
    const double begun = monotonic_seconds();
    while (!got && monotonic_seconds() - begun < 20)
        TRY(fixture->teacher.collect(fixture->teacher.context, 20, reply, &got));
    assert_true(got);
out:
    return status;
}
