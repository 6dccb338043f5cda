/* Running a test program again under mpirun, and what it said. */
#ifndef ROBIN_TESTS_MPI_RUN_H
#define ROBIN_TESTS_MPI_RUN_H

struct mpi_run {
    char *output;  /* stdout and stderr together, to free() */
    int exit_code; /* of mpirun; 124: it did not end within the time */
};

/* `mpirun -np n_ranks PROGRAM ARGUMENTS`, ARGUMENTS in shell syntax. */
struct mpi_run mpi_run(int n_ranks, const char *program, const char *arguments, int seconds);

/* How many lines of the output contain the text. */
int mpi_run_lines_with(const struct mpi_run *run, const char *text);

#endif
