/* build/VARIANT/tests/golden [--kernels NAME] [--threads N] [--verbose] DIR...
 *
 * Runs each folder of reference results; exit status 1 if one fails, 77 if all were skipped, 2 for
 * a wrong command line, else 0. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "device/stream.h"
#include "golden.h"
#include "kernels.h"

static const char usage[] =
    "usage: golden [--kernels ref|cpu] [--threads N] [--verbose] [--cost] DIR...\n"
    "  --cost  also print the time of each folder and the memory of the process\n";

struct command {
    struct golden_options options;
    const char *kernels_name;
    int n_threads;
    bool cost;
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
    if (status != OK) golden_report_case(report, "error", false, "%s", status_message());
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

static bool parse_command(struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"kernels", required_argument, NULL, 'k'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"cost", no_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char *end = NULL;
        switch (option) {
        case 'k': command->kernels_name = optarg; break;
        case 't':
            errno = 0;
            long n = strtol(optarg, &end, 10);
            if (errno != 0 || *end != '\0' || n < 1 || n > 1024) {
                fprintf(stderr, "golden: --threads %s: a number from 1 to 1024 is wanted\n",
                        optarg);
                return false;
            }
            command->n_threads = (int)n;
            break;
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

int main(int argc, char **argv)
{
    struct command command = {.kernels_name = "cpu", .n_threads = 2};
    if (!parse_command(&command, argc, argv)) return 2;
    command.options.kernels = kernels_find(command.kernels_name);
    if (command.options.kernels == NULL) {
        fprintf(stderr, "golden: this build has no kernels called %s\n", command.kernels_name);
        return 2;
    }
    if (stream_create(&command.options.stream, command.n_threads) != OK) {
        fprintf(stderr, "golden: %s\n", status_message());
        return 2;
    }
    int counts[GOLDEN_FAILED + 1] = {0};
    for (int i = optind; i < argc; i++) counts[run_folder(argv[i], &command)]++;
    printf("%d folders passed, %d failed, %d skipped\n", counts[GOLDEN_PASSED],
           counts[GOLDEN_FAILED], counts[GOLDEN_SKIPPED]);
    stream_destroy(command.options.stream);
    if (counts[GOLDEN_FAILED] > 0) return 1;
    return counts[GOLDEN_PASSED] > 0 ? 0 : 77;
}
