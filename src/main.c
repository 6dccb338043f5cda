/* Entry point: everything else is src/jobs. The only place that prints errors. */
#include "base/allocator.h"
#include "base/log.h"
#include "jobs/command.h"

#ifndef ROBIN_VERSION
#define ROBIN_VERSION "unknown"
#endif

int main(int argc, char **argv)
{
    allocator_keep_blocks();
    struct command_call call = {
        .n_arguments = argc - 1, .arguments = argv + 1, .version = ROBIN_VERSION};
    enum status status = command_run(&call);
    /* Of ranks that failed together one holds the sentence. */
    if (status != OK && status_message()[0] != '\0') log_error("%s", status_message());
    return command_exit_code(&call, status);
}
