/* The directory of a run. */
#include "train/run_directory.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"

/* Where a teacher is, how fast and how dear it may be: keys that say what it answers stay. */
static void set_teacher_aside(struct config_teacher *teacher, char *nothing)
{
    teacher->url = teacher->key_env = teacher->key_file = teacher->ca_file = nothing;
    teacher->in_flight = teacher->requests_per_minute = teacher->tokens_per_minute = 0;
    teacher->timeout_seconds = teacher->backoff_seconds = teacher->max_backoff_seconds = 0;
    teacher->tries = teacher->budget_calls = teacher->budget_tokens = 0;
    teacher->budget_money = teacher->price_in = teacher->price_out = 0;
    teacher->batch_requests = teacher->batch_bytes = 0;
    teacher->poll_seconds = 0;
}

/* The configuration as text, keys that do not decide the numbers at one value. A shallow copy is
 * enough: nothing of it is released. */
static char *essence(const struct run_config *config)
{
    struct run_config copy = *config;
    char nothing[] = "";
    copy.run_dir = nothing;
    copy.threads = 1;
    copy.device = CONFIG_DEVICE_CPU; /* a run may move between CPUs and GPUs */
    copy.log_debug = false;
    copy.data.loader_threads = copy.data.prefetch = copy.data.prefetch_bytes = 1;
    copy.train.save_every = copy.train.stop_after = 0;
    copy.train.keep_last = copy.train.log_every = 1;
    copy.train.keep_every = 0;
    copy.train.save_async = false;
    copy.train.save_io = copy.train.save_failure = 0;
    copy.train.max_skipped = 0;
    const int reduction = copy.parallel.reduction;
    const int64_t multiple = copy.parallel.ordered_multiple;
    copy.parallel = (struct config_parallel){.reduction = reduction, .ordered_multiple = multiple};
    copy.metrics = (struct config_metrics){0};
    copy.faults = (struct config_faults){0};
    copy.train.max_skipped_steps = copy.train.straggler_every = 0;
    copy.decode = (struct config_decode){.max_length = copy.decode.max_length,
                                         .max_tokens = copy.decode.max_tokens,
                                         .constrained = copy.decode.constrained,
                                         .skip_forced = copy.decode.skip_forced,
                                         .goes_on = copy.decode.goes_on,
                                         .temperature = copy.decode.temperature,
                                         .top_p = copy.decode.top_p,
                                         .wording = copy.decode.wording};
    copy.generate.in_flight = copy.generate.samples = 1;
    copy.generate.sync_seconds = 0;
    set_teacher_aside(&copy.teacher, nothing);
    return run_config_write(&copy);
}

uint64_t run_directory_config_hash(const struct run_config *config)
{
    char *text = essence(config);
    const uint64_t hash = hash_fnv1a(text, strlen(text));
    free(text);
    return hash;
}

/* The first line of `now` that differs from `then`, and that line of `then`. */
static void first_difference(const char *now, const char *then, char **now_out, char **then_out)
{
    while (*now != '\0' && *then != '\0') {
        const size_t n = strcspn(now, "\n"), m = strcspn(then, "\n");
        if (n != m || strncmp(now, then, n) != 0) break;
        now += n + (now[n] != '\0');
        then += m + (then[m] != '\0');
    }
    now += strspn(now, " ");
    then += strspn(then, " ");
    *now_out = text_format("%.*s", (int)strcspn(now, "\n"), now);
    *then_out = text_format("%.*s", (int)strcspn(then, "\n"), then);
}

static enum status compare(const struct run_config *config, const char *path)
{
    enum status status = OK;
    struct run_config begun = {0};
    char *now = NULL, *then = NULL, *now_line = NULL, *then_line = NULL;
    TRY(run_config_load(&begun, path, NULL, 0));
    now = essence(config);
    then = essence(&begun);
    if (strcmp(now, then) == 0) goto out;
    first_difference(now, then, &now_line, &then_line);
    FAIL(ERR_ARGUMENT,
         "%s was begun with another configuration (there '%s', now '%s'); give the old value, or "
         "another run_dir",
         config->run_dir, then_line, now_line);
out:
    free(now);
    free(then);
    free(now_line);
    free(then_line);
    run_config_release(&begun);
    return status;
}

enum status run_directory_prepare(const struct run_config *config, const char *version)
{
    enum status status = OK;
    char *config_path = path_join(config->run_dir, "config.yaml");
    char *version_path = path_join(config->run_dir, "version.txt");
    char *latest = path_join(config->run_dir, "checkpoints/latest");
    char *text = run_config_write(config), *version_text = text_format("%s\n", version);
    TRY_WHERE(directory_create(config->run_dir), "run_dir");
    if (file_exists(config_path) && file_exists(latest)) TRY(compare(config, config_path));
    TRY_WHERE(file_write_atomic(config_path, text, strlen(text)), "run_dir");
    TRY_WHERE(file_write_atomic(version_path, version_text, strlen(version_text)), "run_dir");
out:
    free(version_text);
    free(text);
    free(latest);
    free(version_path);
    free(config_path);
    return status;
}
