/* The command line of the built program: exit codes and sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/text_buffer.h"
#include "jobs/command.h"

/* Runs the program of this build behind `launcher`, both outputs into `out`; its exit code. */
static int run_by(struct text_buffer *out, const char *launcher, const char *arguments)
{
    const char *build = getenv("ROBIN_BUILD");
    char *command = text_format("%s %s/robin-dist %s 2>&1 </dev/null", launcher,
                                build != NULL ? build : "build/cpu", arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    char bytes[4096];
    text_clear(out);
    for (size_t n = fread(bytes, 1, sizeof bytes, pipe); n > 0;
         n = fread(bytes, 1, sizeof bytes, pipe))
        text_append_bytes(out, bytes, n);
    int code = pclose(pipe);
    free(command);
    assert_true(WIFEXITED(code));
    return WEXITSTATUS(code);
}

static int run(struct text_buffer *out, const char *arguments)
{
    return run_by(out, "", arguments);
}

static void help_and_version(void **state)
{
    (void)state;
    struct text_buffer out = {0};
    assert_int_equal(run(&out, "--help"), 0);
    for (size_t i = 0; i < n_commands; i++) assert_non_null(strstr(out.text, commands[i].name));
    assert_int_equal(run(&out, "--version"), 0);
    assert_memory_equal(out.text, "robin-dist ", 11);
    assert_int_equal(run(&out, "help-config schedule.kind"), 0);
    assert_non_null(strstr(out.text, "cosine or constant; default cosine"));
    text_release(&out);
}

static void wrong_command_lines_are_refused(void **state)
{
    (void)state;
    struct text_buffer out = {0};
    assert_int_equal(run(&out, ""), 2);
    assert_non_null(strstr(out.text, "error: nothing to do"));
    assert_int_equal(run(&out, "fly"), 2);
    assert_string_equal(out.text,
                        "error: there is no command 'fly'; 'robin-dist --help' lists them\n");
    assert_int_equal(run(&out, "help-config optimizer.lrr"), 2);
    assert_string_equal(out.text,
                        "error: there is no key optimizer.lrr; did you mean optimizer.lr?\n");
    assert_int_equal(run(&out, "help-config a b"), 2);
    assert_int_equal(run(&out, "help-config >/dev/full"), 2);
    text_release(&out);
}

static void a_wrong_config_is_refused_with_every_error(void **state)
{
    (void)state;
    struct text_buffer out = {0};
    assert_int_equal(run(&out, "tests/bad_configs/duplicate.yaml"), 2);
    assert_non_null(strstr(out.text, "tests/bad_configs/duplicate.yaml:3:1: error: key 'seed'"));
    assert_non_null(strstr(out.text, "tests/bad_configs/duplicate.yaml:5:1: error: optimizer.lr"));
    assert_int_equal(run(&out, "no/such.yaml"), 2);
    assert_non_null(strstr(out.text, "cannot open no/such.yaml: No such file or directory"));
    text_release(&out);
}

static void ranks_refuse_together_in_one_line(void **state)
{
    (void)state;
    struct text_buffer out = {0};
    assert_int_equal(
        run_by(&out, "timeout 60 launch/mpirun.sh -np 3", "tests/bad_configs/duplicate.yaml"), 2);
    const char *first = strstr(out.text, "3:1: error: key 'seed'");
    assert_non_null(first);
    assert_null(strstr(first + 1, "3:1: error: key 'seed'"));
    text_release(&out);
}

static void exit_codes(void **state)
{
    (void)state;
    struct command_call call = {0};
    assert_int_equal(command_exit_code(&call, OK), 0);
    assert_int_equal(command_exit_code(&call, ERR_IO), 2);
    assert_int_equal(command_exit_code(&call, ERR_STOPPED), 3);
    call.started = true;
    assert_int_equal(command_exit_code(&call, ERR_IO), 1);
    assert_int_equal(command_exit_code(&call, ERR_STOPPED), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version),
        cmocka_unit_test(wrong_command_lines_are_refused),
        cmocka_unit_test(a_wrong_config_is_refused_with_every_error),
        cmocka_unit_test(ranks_refuse_together_in_one_line),
        cmocka_unit_test(exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
