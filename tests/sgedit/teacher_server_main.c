/* The test's teacher as a program of its own, for scripts and for the demo: prints its port and
 * serves until it is ended; SIGUSR1 fills the account that quota_after=N emptied.
 *
 * usage: teacher_server CORPUS [NAME=VALUE...]   names: key log noise seed delay_ms slow_ms port
 *        expire_first_batch fail_first_batch quota_after and the faults of
 *        tests/support/teacher_server.h */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/teacher_server.h"

struct number_name {
    const char *name;
    double *value;
};

static int set_number(const struct number_name *names, size_t n, const char *argument)
{
    const size_t length = strcspn(argument, "=");
    for (size_t i = 0; i < n; i++) {
        if (strlen(names[i].name) != length || strncmp(names[i].name, argument, length) != 0)
            continue;
        *names[i].value = strtod(argument + length + 1, NULL);
        return 1;
    }
    return 0;
}

static int parse(struct teacher_server_options *options, int n, char **arguments)
{
    struct teacher_server_faults *faults = &options->faults;
    double seed = 0, delay = 0, slow = 3000, port = 0, expire = 0, fail = 0, quota_after = 0;
    const struct number_name names[] = {
        {"noise", &options->noise},
        {"seed", &seed},
        {"delay_ms", &delay},
        {"slow_ms", &slow},
        {"port", &port},
        {"expire_first_batch", &expire},
        {"fail_first_batch", &fail},
        {"quota_after", &quota_after},
        {"rate_limit", &faults->rate_limit},
        {"error_500", &faults->error_500},
        {"overload_503", &faults->overload_503},
        {"timeout", &faults->timeout},
        {"half_body", &faults->half_body},
        {"reset", &faults->reset},
        {"drip", &faults->drip},
        {"huge", &faults->huge},
        {"quota", &faults->quota},
        {"broken_json", &faults->broken_json},
        {"wrong_schema", &faults->wrong_schema},
        {"refusal", &faults->refusal},
        {"wrong_ids", &faults->wrong_ids},
    };
    for (int i = 0; i < n; i++) {
        if (strncmp(arguments[i], "key=", 4) == 0)
            options->key = arguments[i] + 4;
        else if (strncmp(arguments[i], "log=", 4) == 0)
            options->log = arguments[i] + 4;
        else if (!set_number(names, sizeof names / sizeof names[0], arguments[i]))
            return fprintf(stderr, "teacher_server: what is %s?\n", arguments[i]), 0;
    }
    options->seed = (uint64_t)seed;
    options->delay_ms = (int)delay;
    options->slow_ms = (int)slow;
    options->port = (int)port;
    options->expire_first_batch = expire != 0;
    options->fail_first_batch = fail != 0;
    options->quota_after = (int64_t)quota_after;
    return 1;
}

int main(int argc, char **argv)
{
    struct teacher_server_options options = {0};
    struct teacher_server *server = NULL;
    sigset_t ends;
    int signal_number = 0;
    if (argc < 2 || !parse(&options, argc - 2, argv + 2)) return 2;
    options.corpus = argv[1];
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGUSR1);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    if (teacher_server_start(&server, &options) != OK) {
        fprintf(stderr, "teacher_server: %s\n", status_message());
        return 1;
    }
    printf("%d\n", teacher_server_port(server));
    fflush(stdout);
    while (sigwait(&ends, &signal_number) == 0 && signal_number == SIGUSR1)
        teacher_server_fill_account(server);
    teacher_server_stop(server);
    return 0;
}
