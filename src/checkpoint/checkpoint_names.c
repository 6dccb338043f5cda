/* Names of checkpoints, their order, and finding them. */
#include "checkpoint/checkpoint_names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text_buffer.h"

#define PREFIX      "step-"
#define STEP_DIGITS 9
#define MAX_DIGITS  18 /* of a step beyond, and of an attempt */

/* "12-3": the number, and what is behind it; NULL if there is none. */
static const char *read_number(int64_t *number_out, const char *text, size_t least)
{
    const size_t digits = strspn(text, "0123456789");
    if (digits < least || digits > MAX_DIGITS) return NULL;
    *number_out = strtoll(text, NULL, 10);
    return text + digits;
}

/* False: not the name of a checkpoint. */
static bool parse_name(struct checkpoint_name *name_out, const char *name)
{
    struct checkpoint_name parsed = {.attempt = 1};
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) return false;
    const char *rest = read_number(&parsed.step, name + strlen(PREFIX), STEP_DIGITS);
    if (rest == NULL) return false;
    if (strcmp(rest, ".ckpt") == 0) {
        parsed.attempt = 0;
    } else if (*rest == '-') {
        rest = read_number(&parsed.attempt, rest + 1, 1);
        if (rest == NULL || *rest != '\0' || parsed.attempt < 2) return false;
    } else if (*rest != '\0') {
        return false;
    }
    *name_out = parsed;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

bool checkpoint_name_is_leftover(const char *name)
{
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) return false;
    return ends_with(name, CHECKPOINT_PARTIAL) || ends_with(name, CHECKPOINT_REMOVED) ||
           strstr(name, ".ckpt.tmp.") != NULL;
}

static int newest_first(const void *a, const void *b)
{
    const struct checkpoint_name *x = a, *y = b;
    if (x->step != y->step) return x->step < y->step ? 1 : -1;
    return (x->attempt < y->attempt) - (x->attempt > y->attempt);
}

enum status checkpoint_names_list(struct checkpoint_name **names_out, size_t *n_out,
                                  const char *directory)
{
    enum status status = OK;
    char **entries = NULL;
    size_t n = 0, n_names = 0;
    struct checkpoint_name *names = memory_new(1, sizeof *names);
    if (file_exists(directory)) TRY(directory_list(&entries, &n, directory));
    for (size_t i = 0; i < n; i++) {
        struct checkpoint_name name;
        if (!parse_name(&name, entries[i])) continue;
        name.name = text_copy(entries[i]);
        names = memory_resize(names, n_names + 1, sizeof *names);
        names[n_names++] = name;
    }
    qsort(names, n_names, sizeof *names, newest_first);
    *names_out = names;
    *n_out = n_names;
    names = NULL;
out:
    free(names);
    names_free(entries, n);
    return status;
}

void checkpoint_names_free(struct checkpoint_name *names, size_t n)
{
    for (size_t i = 0; names != NULL && i < n; i++) free(names[i].name);
    free(names);
}

enum status checkpoint_name_new(char **name_out, const char *directory, int64_t step)
{
    enum status status = OK;
    struct checkpoint_name *names = NULL;
    size_t n = 0;
    int64_t attempt = 1;
    TRY(checkpoint_names_list(&names, &n, directory));
    for (size_t i = 0; i < n; i++)
        if (names[i].step == step && names[i].attempt >= attempt) attempt = names[i].attempt + 1;
    *name_out = attempt == 1 ? text_format(PREFIX "%09" PRId64, step)
                             : text_format(PREFIX "%09" PRId64 "-%" PRId64, step, attempt);
out:
    checkpoint_names_free(names, n);
    return status;
}

/* ---- what people name ---- */

static bool is_directory(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Also one that has lost its manifest. */
static bool is_checkpoint(const char *path)
{
    struct checkpoint_name name;
    char *manifest = path_join(path, CHECKPOINT_MANIFEST);
    const char *slash = strrchr(path, '/');
    const bool is_one = !is_directory(path) || file_exists(manifest) ||
                        parse_name(&name, slash == NULL ? path : slash + 1);
    free(manifest);
    return is_one;
}

enum status checkpoint_paths_in(char ***paths_out, size_t *n_out, const char *directory)
{
    enum status status = OK;
    struct checkpoint_name *names = NULL;
    size_t n = 0;
    TRY(checkpoint_names_list(&names, &n, directory));
    char **paths = memory_new(n + 1, sizeof *paths);
    for (size_t i = 0; i < n; i++) paths[i] = path_join(directory, names[i].name);
    *paths_out = paths;
    *n_out = n;
out:
    checkpoint_names_free(names, n);
    return status;
}

enum status checkpoint_paths_of(char ***paths_out, size_t *n_out, const char *path)
{
    enum status status = OK;
    const size_t end = strlen("/" CHECKPOINT_LATEST);
    const size_t length = strlen(path);
    const bool is_latest = length > end && ends_with(path, "/" CHECKPOINT_LATEST);
    char *folder = text_format("%.*s", (int)(is_latest ? length - end : length), path);
    char *inner = path_join(folder, "checkpoints");
    char **paths = NULL;
    size_t n = 1;
    if (is_checkpoint(folder)) {
        paths = memory_new(1, sizeof *paths);
        *paths = text_copy(folder);
    } else {
        TRY(checkpoint_paths_in(&paths, &n, is_directory(inner) ? inner : folder));
        if (n == 0) FAIL(ERR_IO, "%s holds no checkpoint; run the stage before this one", path);
    }
    *paths_out = paths;
    *n_out = n;
    paths = NULL;
out:
    free(paths); /* of none */
    free(inner);
    free(folder);
    return status;
}
