/* mpirun through the shell, with a time limit so that a hang fails instead of hanging. */
#include "support/mpi_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/text_buffer.h"

struct mpi_run mpi_run(int n_ranks, const char *program, const char *arguments, int seconds)
{
    char *command = text_format("OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
                                "OPENBLAS_NUM_THREADS=1 timeout -k 5 %d "
                                "mpirun --oversubscribe -np %d %s %s 2>&1",
                                seconds, n_ranks, program, arguments);
    struct text_buffer output = {0};
    char piece[4096];
    FILE *pipe = popen(command, "r");
    if (pipe == NULL) abort();
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, pipe)) > 0) text_append_bytes(&output, piece, n);
    const int ended = pclose(pipe);
    free(command);
    return (struct mpi_run){.output = text_take(&output),
                            .exit_code = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1};
}

int mpi_run_lines_with(const struct mpi_run *run, const char *text)
{
    int lines = 0;
    for (const char *at = run->output; (at = strstr(at, text)) != NULL; lines++) {
        at = strchr(at, '\n');
        if (at == NULL) return lines + 1;
    }
    return lines;
}
