/* The checks, one function each, and how what the ranks found becomes lines. */
#include "plan/preflight.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "plan/link_check.h"
#include "plan/run_plan.h"
#include "plan/sample_survey.h"
#include "train/placement.h"
#include "train/run_directory.h"

#define MAX_PROGRAM_BYTES ((size_t)1 << 30)
#define CLOCK_LOOKS       5    /* at the clock, each behind a barrier; the best counts */
#define MEMORY_SHARE      0.95 /* of what is free may be planned for */
#define GB                1e9

struct checking {
    const struct preflight_options *options;
    struct preflight *out;
};

/* ---- from the ranks' words to lines ---- */

/* "node-b (ranks 4-7): it has 2 GB", "; " between different words. Rank 0. */
static void append_groups(struct text_buffer *text, char *const *words, char *const *hosts, int n)
{
    unsigned char *told = memory_new((size_t)n, 1), *same = memory_new((size_t)n, 1);
    for (int rank = 0; rank < n; rank++) {
        if (told[rank] || words[rank][0] == '\0') continue;
        for (int r = 0; r < n; r++) {
            same[r] = strcmp(words[r], words[rank]) == 0 && strcmp(hosts[r], hosts[rank]) == 0;
            told[r] = told[r] || same[r];
        }
        char *ranks = placement_ranges(same, n);
        const bool several = strpbrk(ranks, ",-") != NULL;
        text_printf(text, "%s%s (rank%s %s): %s", text->length > 0 ? "; " : "", hosts[rank],
                    several ? "s" : "", ranks, words[rank]);
        free(ranks);
    }
    free(same);
    free(told);
}

/* Collective. `fault` is what this rank has to complain of; "": nothing. `fine` is told by rank 0
 * where nobody complains. */
static enum status conclude(struct checking *checking, const char *name, const char *fault,
                            const char *fine)
{
    enum status status = OK;
    struct comm *comm = checking->options->comm;
    struct preflight *out = checking->out;
    const int size = comm_size(comm);
    struct text_buffer text = {0};
    char **words = NULL, **hosts = NULL, *copy = NULL;
    int64_t length = 0;
    TRY(comm_gather_strings(comm, &words, fault));
    TRY(comm_gather_strings(comm, &hosts, comm_host(comm)));
    if (comm_rank(comm) == 0) {
        append_groups(&text, words, hosts, size);
        const bool bad = text.length > 0;
        text_printf(&out->lines, "%s  %-14s %s\n", bad ? "FAULT" : "ok   ", name,
                    bad ? text_of(&text) : fine);
        length = (int64_t)text.length;
    }
    TRY(comm_max_int64(comm, &length, 1));
    if (length == 0) goto out;
    copy = memory_new((size_t)length + 1, 1);
    if (comm_rank(comm) == 0) memcpy(copy, text_of(&text), (size_t)length);
    TRY(comm_broadcast(comm, copy, (size_t)length + 1, 0));
    text_printf(&out->faults, "%s%s: %s", out->n_faults > 0 ? "; " : "", name, copy);
    out->n_faults++;
out:
    free(copy);
    text_release(&text);
    names_free(words, words == NULL ? 0 : (size_t)size);
    names_free(hosts, hosts == NULL ? 0 : (size_t)size);
    return status;
}

/* Collective. Which ranks have another value than rank 0. */
static enum status compare(struct checking *checking, const char *name, uint64_t own,
                           const char *differs)
{
    enum status status = OK;
    char fine[64];
    uint64_t first = own;
    TRY(comm_broadcast(checking->options->comm, &first, sizeof first, 0));
    snprintf(fine, sizeof fine, "the same on all ranks (%08" PRIx64 ")", own & 0xffffffffu);
    TRY(conclude(checking, name, own == first ? "" : differs, fine));
out:
    return status;
}

/* ---- the checks ---- */

static enum status check_program(struct checking *checking)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    uint64_t own = 0;
    if (file_read(&bytes, &size, "/proc/self/exe", MAX_PROGRAM_BYTES) == OK)
        own = (uint64_t)size << 32 | crc32c(0, bytes, size);
    status_clear();
    free(bytes);
    return compare(checking, "program", own, "runs another build of robin-dist than rank 0");
}

/* What this rank sees of rank 0's file, and whether it can write one of its own. */
static enum status try_run_dir(const char *run_dir, const char *mark, const char *own,
                               uint64_t token)
{
    enum status status = OK;
    unsigned char *seen = NULL;
    size_t n_seen = 0;
    TRY(file_read(&seen, &n_seen, mark, 64));
    if (n_seen != sizeof token || memcmp(seen, &token, sizeof token) != 0)
        FAIL(ERR_IO, "%s is another folder than that of rank 0", run_dir);
    TRY(file_write_atomic(own, &token, sizeof token));
out:
    free(seen);
    remove(own);
    return status;
}

/* Collective. Rank 0 makes the folder and a file in it; every rank must see that one, and be able
 * to write its own. */
static enum status check_run_dir(struct checking *checking)
{
    enum status status = OK, tried = OK;
    struct comm *comm = checking->options->comm;
    const char *run_dir = checking->options->config->run_dir;
    uint64_t token = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    char *fine = text_format("%s: all ranks write to it", run_dir);
    char *mark = path_join(run_dir, ".preflight"), *fault = NULL;
    char *own = text_format("%s-%d", mark, comm_rank(comm));
    TRY(comm_broadcast(comm, &token, sizeof token, 0));
    if (comm_rank(comm) == 0) {
        tried = directory_create(run_dir);
        if (tried == OK) tried = file_write_atomic(mark, &token, sizeof token);
    }
    TRY(comm_barrier(comm));
    int64_t made = comm_rank(comm) == 0 && tried == OK;
    TRY(comm_max_int64(comm, &made, 1));
    if (made) tried = try_run_dir(run_dir, mark, own, token);
    fault = text_copy(tried == OK ? "" : status_message());
    status_clear();
    TRY(conclude(checking, "run_dir", fault, fine));
    if (comm_rank(comm) == 0) remove(mark);
out:
    free(own);
    free(mark);
    free(fine);
    free(fault);
    return status;
}

/* Weights of all, moments and the running mean of what learns, in fp32. */
static double checkpoint_bytes(const struct run_plan *plan)
{
    double elements = 0;
    const int states = plan->config->optimizer.ema_decay > 0 ? 3 : 2;
    for (int m = 0; m < N_MODULES; m++)
        elements +=
            (double)plan->parameters[m] * (plan->model.options.trainable[m] ? 1 + states : 1);
    return elements * sizeof(float);
}

static enum status check_disk(struct checking *checking, const struct run_plan *plan)
{
    const struct run_config *config = checking->options->config;
    const double one = checkpoint_bytes(plan);
    const double needed = one * (double)(config->train.keep_last + 1); /* one is written aside */
    struct statvfs about;
    char *fault = text_copy(""), *fine = NULL;
    if (statvfs(config->run_dir, &about) == 0) {
        const double free_bytes = (double)about.f_bavail * (double)about.f_frsize;
        fine = text_format(
            "%.3g GB free in %s, %.3g GB needed for %" PRId64 " checkpoints of %.3g GB",
            free_bytes / GB, config->run_dir, needed / GB, config->train.keep_last + 1, one / GB);
        if (free_bytes < needed) {
            free(fault);
            fault = text_copy(fine);
        }
    } else {
        fine = text_format("not known: %s", strerror(errno)); /* said by the check before */
    }
    const enum status status = conclude(checking, "disk space", fault, fine);
    free(fine);
    free(fault);
    return status;
}

/* A number of a file that holds nothing else; `none` where it cannot be read or is a word. */
static double number_in(const char *path, double none)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    char *end = NULL;
    if (file_read(&bytes, &size, path, 64) != OK) {
        status_clear();
        return none;
    }
    const double value = strtod((const char *)bytes, &end);
    const bool is_number = end != (char *)bytes;
    free(bytes);
    return is_number ? value : none;
}

/* Of the machine, and of the group that a batch system put this process into. */
static double available_memory(void)
{
    double available = HUGE_VAL;
    char line[256];
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "MemAvailable:", 13) == 0) available = strtod(line + 13, NULL) * 1024;
    if (file != NULL) fclose(file);
    const double most = number_in("/sys/fs/cgroup/memory.max", HUGE_VAL);
    const double used = number_in("/sys/fs/cgroup/memory.current", 0);
    return fmin(available, most - used);
}

/* How many ranks are on this one's machine. */
static enum status ranks_here(struct comm *comm, int64_t *n_out)
{
    enum status status = OK;
    const int size = comm_size(comm);
    int64_t *hosts = memory_new((size_t)size, sizeof *hosts);
    const char *host = comm_host(comm);
    const int64_t own = (int64_t)(hash_fnv1a(host, strlen(host)) >> 1);
    hosts[comm_rank(comm)] = own;
    TRY(comm_sum_int64(comm, hosts, size));
    *n_out = 0;
    for (int rank = 0; rank < size; rank++) *n_out += hosts[rank] == own;
out:
    free(hosts);
    return status;
}

static enum status check_memory(struct checking *checking, const struct run_plan *plan)
{
    enum status status = OK;
    int64_t here = 1;
    char *fault = NULL, *fine = NULL;
    TRY(ranks_here(checking->options->comm, &here));
    const double needed = plan->memory.all * (double)here, available = available_memory();
    fine = text_format("%.3g GB planned for this machine's ranks, %" PRId64
                       " of them; %.3g GB available",
                       needed / GB, here, available / GB);
    fault = text_copy(needed > MEMORY_SHARE * available ? fine : "");
    TRY(conclude(checking, "memory", fault, fine));
out:
    free(fine);
    free(fault);
    return status;
}

/* Collective. Against rank 0's clock, which it tells all of; a message under way makes it look
 * late, so the look with the least delay counts. */
static enum status check_clock(struct checking *checking)
{
    enum status status = OK;
    struct comm *comm = checking->options->comm;
    const double allowed = checking->options->clock_s;
    double least = HUGE_VAL, difference = 0;
    char *fault = NULL, fine[96];
    for (int look = 0; look < CLOCK_LOOKS; look++) {
        struct timespec theirs = {0}, now;
        TRY(comm_barrier(comm));
        const double start = monotonic_seconds();
        clock_gettime(CLOCK_REALTIME, &theirs);
        TRY(comm_broadcast(comm, &theirs, sizeof theirs, 0));
        clock_gettime(CLOCK_REALTIME, &now);
        const double delay = monotonic_seconds() - start;
        if (delay >= least) continue;
        least = delay;
        difference =
            (double)(now.tv_sec - theirs.tv_sec) + (double)(now.tv_nsec - theirs.tv_nsec) * 1e-9;
    }
    fault = fabs(difference) > allowed + least
                ? text_format("its clock is %.1f s %s that of rank 0", fabs(difference),
                              difference > 0 ? "ahead of" : "behind")
                : text_copy("");
    snprintf(fine, sizeof fine, "all within %g s of rank 0's", allowed);
    TRY(conclude(checking, "clock", fault, fine));
out:
    free(fault);
    return status;
}

static bool are_crowded(int64_t here)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    return sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
           (here > 1 && CPU_COUNT(&allowed) < here);
}

static enum status check_links(struct checking *checking)
{
    enum status status = OK;
    struct comm *comm = checking->options->comm;
    struct link_check link = {.ratio = 1};
    int64_t here = 1, crowded = 0;
    char *fault = text_copy(""), fine[128] = "one rank: nothing to measure";
    TRY(ranks_here(comm, &here));
    crowded = are_crowded(here);
    TRY(comm_max_int64(comm, &crowded, 1));
    if (crowded)
        snprintf(fine, sizeof fine, "not measured: ranks share processors");
    else if (comm_size(comm) > 1 && checking->options->slow_link > 0) {
        TRY(link_check_run(&link, comm));
        snprintf(fine, sizeof fine, "median %.2f GB/s; the slowest rank has %.2f of it",
                 link.median / GB, link.least_ratio);
    }
    if (link.ratio < checking->options->slow_link) {
        free(fault);
        fault = text_format("%.2f of the median bandwidth between ranks, %.2f GB/s", link.ratio,
                            link.median / GB);
    }
    TRY(conclude(checking, "bandwidth", fault, fine));
out:
    free(fault);
    return status;
}

/* ---- all of them ---- */

static enum status check_run(struct checking *checking)
{
    enum status status = OK;
    const struct run_config *config = checking->options->config;
    struct comm *comm = checking->options->comm;
    struct run_plan plan;
    struct plan_options options = {.ranks = comm_size(comm), .sample = sample_assumed(config)};
    TRY(compare(checking, "configuration", run_directory_config_hash(config),
                "was given another configuration than rank 0"));
    TRY(check_run_dir(checking));
    if (config->job != CONFIG_JOB_TRAIN) goto out; /* of others there is no plan */
    status = rates_find(&options.rates, "cpu");
    if (status == OK) status = run_plan_make(&plan, config, &options);
    TRY(comm_agree(comm, status));
    TRY(check_disk(checking, &plan));
    TRY(check_memory(checking, &plan));
out:
    return status;
}

enum status preflight_make(struct preflight *preflight, const struct preflight_options *options)
{
    enum status status = OK;
    struct checking checking = {.options = options, .out = preflight};
    TRY(check_program(&checking));
    if (options->config != NULL) TRY(check_run(&checking));
    TRY(check_clock(&checking));
    TRY(check_links(&checking));
out:
    return status;
}

void preflight_release(struct preflight *preflight)
{
    text_release(&preflight->lines);
    text_release(&preflight->faults);
}

enum status preflight_check(struct comm *comm, const struct run_config *config)
{
    enum status status = OK;
    const struct config_faults *keys = &config->faults;
    const struct preflight_options options = {
        .comm = comm, .config = config, .clock_s = keys->clock_s, .slow_link = keys->slow_link};
    struct preflight preflight = {0};
    if (keys->preflight == CONFIG_PREFLIGHT_OFF) return OK;
    TRY(preflight_make(&preflight, &options));
    if (preflight.n_faults == 0) goto out;
    if (keys->preflight == CONFIG_PREFLIGHT_WARN) {
        log_info("warning: preflight: %s", text_of(&preflight.faults));
        goto out;
    }
    status = status_fail(ERR_LIMIT, "preflight: %s; faults.preflight=warn goes on in spite of it",
                         text_of(&preflight.faults));
    TRY(comm_agree(comm, status));
out:
    preflight_release(&preflight);
    return status;
}
