/* Sets of ranks and processors as people write them; a run says where it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "comm/comm.h"
#include "support/mpi_run.h"
#include "train/placement.h"

static const char *self;

static void check(const char *bits, const char *expected)
{
    unsigned char set[32] = {0};
    const int n = (int)strlen(bits);
    for (int i = 0; i < n; i++) set[i] = bits[i] == '1';
    char *text = placement_ranges(set, n);
    assert_string_equal(text, expected);
    free(text);
}

static void test_ranges(void **state)
{
    (void)state;
    check("", "");
    check("000", "");
    check("1", "0");
    check("1111", "0-3");
    check("0110010111", "1-2,5,7-9");
}

/* Three ranks of 999 threads each: more than any machine has processors. */
static void test_ranks_are_told(void **state)
{
    (void)state;
    struct mpi_run run = mpi_run(3, self, "work", 60);
    if (run.exit_code != 0 || strstr(run.output, "ranks 0-2: ") == NULL) fail_msg("%s", run.output);
    assert_non_null(strstr(run.output, "; 2997 computing threads on "));
    assert_int_equal(mpi_run_lines_with(&run, ": they wait for each other"), 1);
    free(run.output);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 2 && strcmp(argv[1], "work") == 0) {
        struct comm *comm = NULL;
        enum status status = comm_create(&comm, NULL);
        if (status == OK) status = placement_print(comm, 999);
        comm_destroy(comm);
        return status == OK ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges),
                                       cmocka_unit_test(test_ranks_are_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
