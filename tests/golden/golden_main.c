/* build/VARIANT/tests/golden [--kernels NAME] [--threads N] [--tp N] [--sequence] DIR...
 *
 * Runs each folder of reference results, on one rank or under mpirun on a mesh; exit status 1 if
 * one fails, 77 if all were skipped, 2 for a wrong command line, else 0. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "comm/mesh.h"
#include "device/device.h"
#include "device/stream.h"
#include "golden.h"
#include "kernels.h"
#include "parallel/tensor_parallel.h"

static const char usage[] =
    "usage: golden [--kernels ref|cpu] [--threads N] [--tp N] [--sequence] [--verbose] [--cost] "
    "DIR...\n"
    "  --tp N  under mpirun: split the language model over N ranks, deal samples over the rest\n"
    "  --sequence  split norms and residual stream by rows, too\n"
    "  --cost  also print the time of each folder and the memory of the process\n";

struct command {
    struct golden_options options;
    const char *kernels_name;
    int n_threads, tp;
    bool cost, sequence;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static enum golden_outcome run_family(const struct golden_family *family, const char *directory,
                                      const struct command *command)
{
    double start = seconds_now();
    struct golden_report *report =
        golden_report_create(directory, family->name, command->options.verbose);
    enum status status = family->run(directory, &command->options, report);
    if (status == ERR_SHAPE && command->options.share != NULL)
        golden_report_skip(report, "everything", status_message()); /* heads that do not divide */
    else if (status != OK)
        golden_report_case(report, "error", false, "%s", status_message());
    enum golden_outcome outcome = golden_report_print(report);
    golden_report_destroy(report);
    if (command->cost) {
        struct rusage use;
        getrusage(RUSAGE_SELF, &use);
        printf("  %.1f minutes, peak memory of the process so far %.2f GB\n",
               (seconds_now() - start) / 60, (double)use.ru_maxrss * 1024 / 1e9);
    }
    return outcome;
}

/* The worst outcome of the families that recognise the folder; none is a failure. */
static enum golden_outcome run_folder(const char *directory, const struct command *command)
{
    const struct golden_family *family = golden_family_of(directory, NULL);
    if (family == NULL) {
        printf("FAILED %s\n  no family recognises this folder\n", directory);
        return GOLDEN_FAILED;
    }
    enum golden_outcome worst = GOLDEN_PASSED;
    for (; family != NULL; family = golden_family_of(directory, family)) {
        enum golden_outcome outcome = run_family(family, directory, command);
        worst = outcome > worst ? outcome : worst;
    }
    return worst;
}

static bool parse_count(int *n_out, const char *name, const char *text)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || n < 1 || n > 1024) {
        fprintf(stderr, "golden: --%s %s: a number from 1 to 1024 is wanted\n", name, text);
        return false;
    }
    *n_out = (int)n;
    return true;
}

static bool parse_command(struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"kernels", required_argument, NULL, 'k'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"cost", no_argument, NULL, 'c'},
                                            {"tp", required_argument, NULL, 'p'},
                                            {"sequence", no_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'k': command->kernels_name = optarg; break;
        case 't':
            if (!parse_count(&command->n_threads, "threads", optarg)) return false;
            break;
        case 'p':
            if (!parse_count(&command->tp, "tp", optarg)) return false;
            break;
        case 's': command->sequence = true; break;
        case 'v': command->options.verbose = true; break;
        case 'c': command->cost = true; break;
        default: fputs(usage, stderr); return false;
        }
    }
    if (optind >= argc) {
        fputs(usage, stderr);
        return false;
    }
    return true;
}

/* What all ranks need to run folders together. */
struct ranks {
    struct comm *comm;
    struct mesh mesh;
    struct model_share share;
};

static enum status ranks_start(struct ranks *ranks, const struct command *command)
{
    enum status status = OK;
    const struct comm_options comm = {.timeout_seconds = 600};
    TRY(comm_create(&ranks->comm, &comm));
    TRY(mesh_init(&ranks->mesh, ranks->comm, &(struct mesh_options){.tp = command->tp}));
    ranks->share = tensor_parallel_share(ranks->mesh.tp, command->sequence);
    /* rank 0 speaks for all */
    if (comm_rank(ranks->comm) > 0 && freopen("/dev/null", "w", stdout) == NULL)
        FAIL(ERR_IO, "cannot open /dev/null: %s", strerror(errno));
out:
    return status;
}

static int run_folders(const struct command *command, char **folders, int n,
                       const struct ranks *ranks)
{
    int64_t counts[GOLDEN_FAILED + 1] = {0};
    for (int i = 0; i < n; i++) counts[run_folder(folders[i], command)]++;
    printf("%d folders passed, %d failed, %d skipped\n", (int)counts[GOLDEN_PASSED],
           (int)counts[GOLDEN_FAILED], (int)counts[GOLDEN_SKIPPED]);
    if (comm_max_int64(ranks->comm, &counts[GOLDEN_FAILED], 1) != OK) return 1;
    if (counts[GOLDEN_FAILED] > 0) return 1;
    return counts[GOLDEN_PASSED] > 0 ? 0 : 77;
}

/* The streams of the kernels' device and of the host, which are one on the CPU. */
static enum status open_device(struct command *command, struct device **device_out)
{
    enum status status = OK;
    struct golden_options *options = &command->options;
    const bool on_gpu = kernels_on_gpu(options->kernels);
    TRY(device_open(device_out, options->kernels->device, 0));
    options->device = *device_out;
    TRY(stream_create(&options->host_stream, command->n_threads));
    options->host_kernels = on_gpu ? &kernels_cpu : options->kernels;
    options->stream = options->host_stream;
    if (!on_gpu) goto out;
    options->stream = NULL;
    TRY(device_stream(*device_out, &options->stream, 1));
    printf("on %s\n", device_text(*device_out));
out:
    return status;
}

int main(int argc, char **argv)
{
    struct command command = {.kernels_name = "cpu", .n_threads = 2, .tp = 1};
    struct ranks ranks = {0};
    struct device *device = NULL;
    int code = 2;
    if (!parse_command(&command, argc, argv)) return 2;
    command.options.kernels = kernels_find(command.kernels_name);
    if (command.options.kernels == NULL) {
        fprintf(stderr, "golden: this build has no kernels called %s\n", command.kernels_name);
        return 2;
    }
    enum status status = open_device(&command, &device);
    if (status == OK) status = ranks_start(&ranks, &command);
    if (status == OK) {
        command.options.mesh = &ranks.mesh;
        if (command.tp > 1) command.options.share = &ranks.share;
        code = run_folders(&command, argv + optind, argc - optind, &ranks);
    } else if (*status_message() != '\0') {
        fprintf(stderr, "golden: %s\n", status_message());
    }
    mesh_release(&ranks.mesh);
    comm_destroy(ranks.comm);
    if (command.options.stream != command.options.host_stream)
        stream_destroy(command.options.stream);
    stream_destroy(command.options.host_stream);
    device_close(device);
    return code;
}
