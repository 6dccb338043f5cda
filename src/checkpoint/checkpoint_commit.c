/* The commit, and what is removed after it. */
#include "checkpoint/checkpoint_commit.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_names.h"
#include "checkpoint/run_checkpoint.h"

#define MAX_LATEST 4096

static enum status remove_leftovers(const struct checkpoint_place *place)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    TRY(directory_list(&names, &n, place->directory));
    for (size_t i = 0; i < n; i++) {
        if (!checkpoint_name_is_leftover(names[i])) continue;
        char *path = path_join(place->directory, names[i]);
        status = layer_remove(place->layer, path);
        free(path);
        if (status != OK) goto out;
    }
out:
    names_free(names, n);
    return status;
}

char *checkpoint_aside(const struct checkpoint_place *place, const char *name)
{
    return text_format("%s/%s" CHECKPOINT_PARTIAL, place->directory, name);
}

enum status checkpoint_begin(const struct checkpoint_place *place, int64_t step, char **name_out)
{
    enum status status = OK;
    char *name = NULL, *aside = NULL;
    TRY(layer_make_directories(place->layer, place->directory));
    TRY(remove_leftovers(place));
    TRY(checkpoint_name_new(&name, place->directory, step));
    aside = checkpoint_aside(place, name);
    TRY(layer_make_directory(place->layer, aside));
    *name_out = name;
    name = NULL;
out:
    free(aside);
    free(name);
    return status;
}

/* The file `latest`, for people: resuming looks for itself. */
static enum status write_latest(const struct checkpoint_place *place, const char *name)
{
    enum status status = OK;
    char *path = path_join(place->directory, CHECKPOINT_LATEST);
    char *aside = text_format("%s.tmp", path);
    TRY(layer_write_file(place->layer, aside, name, strlen(name)));
    TRY(layer_rename(place->layer, aside, path));
    TRY(layer_sync_directory(place->layer, place->directory));
out:
    free(aside);
    free(path);
    return status;
}

enum status checkpoint_publish(const struct checkpoint_place *place, const char *name,
                               const char *manifest, size_t size)
{
    enum status status = OK;
    struct run_checkpoint *written = NULL;
    char *aside = checkpoint_aside(place, name);
    char *path = path_join(place->directory, name);
    char *manifest_path = path_join(aside, CHECKPOINT_MANIFEST);
    TRY(layer_write_file(place->layer, manifest_path, manifest, size));
    TRY(layer_sync_directory(place->layer, aside));
    TRY(run_checkpoint_open(&written, aside));
    TRY(layer_rename(place->layer, aside, path));
    TRY(layer_sync_directory(place->layer, place->directory));
    TRY(write_latest(place, name));
out:
    run_checkpoint_close(written);
    free(manifest_path);
    free(path);
    free(aside);
    return status;
}

void checkpoint_abandon(const struct checkpoint_place *place, const char *name)
{
    char *aside = checkpoint_aside(place, name), *sentence = text_copy(status_message());
    if (layer_remove(place->layer, aside) != OK) /* then the next one does */
        (void)status_fail(ERR_IO, "%s", sentence);
    free(sentence);
    free(aside);
}

/* ---- removing ---- */

static bool is_whole(const char *path)
{
    struct run_checkpoint *checkpoint = NULL;
    const bool whole = run_checkpoint_open(&checkpoint, path) == OK;
    run_checkpoint_close(checkpoint);
    status_clear();
    return whole;
}

/* "" where there is no such file. To free(). */
static char *read_latest(const char *directory)
{
    unsigned char *text = NULL;
    size_t size = 0;
    char *path = path_join(directory, CHECKPOINT_LATEST);
    char *name = NULL;
    if (file_exists(path) && file_read(&text, &size, path, MAX_LATEST) == OK)
        name = text_format("%.*s", (int)strcspn((char *)text, "\n"), (char *)text);
    free(text);
    free(path);
    return name != NULL ? name : text_copy("");
}

enum status checkpoint_prunable(char ***paths_out, size_t *n_out, const char *directory,
                                const struct checkpoint_keep *keep)
{
    enum status status = OK;
    struct checkpoint_name *names = NULL;
    size_t n = 0;
    int64_t n_whole = 0;
    char *latest = read_latest(directory);
    *n_out = 0;
    TRY(checkpoint_names_list(&names, &n, directory));
    *paths_out = memory_new(n + 1, sizeof **paths_out);
    for (size_t i = 0; i < n && keep->last > 0; i++) {
        char *path = path_join(directory, names[i].name);
        const bool enough = n_whole >= keep->last;
        const bool multiple = keep->every > 0 && names[i].step % keep->every == 0;
        const bool whole = (!enough || multiple) && is_whole(path);
        n_whole += whole;
        if (whole || !enough || strcmp(names[i].name, latest) == 0)
            free(path);
        else
            (*paths_out)[(*n_out)++] = path;
    }
out:
    checkpoint_names_free(names, n);
    free(latest);
    return status;
}

enum status checkpoint_remove(const struct file_layer *layer, const char *path)
{
    enum status status = OK;
    char *parent = path_parent(path);
    char *aside = text_format("%s" CHECKPOINT_REMOVED, path);
    TRY(layer_rename(layer, path, aside));
    TRY(layer_sync_directory(layer, parent));
    TRY(layer_remove(layer, aside));
out:
    free(aside);
    free(parent);
    return status;
}

enum status checkpoint_prune(const struct checkpoint_place *place,
                             const struct checkpoint_keep *keep)
{
    enum status status = OK;
    char **paths = NULL;
    size_t n = 0;
    TRY(checkpoint_prunable(&paths, &n, place->directory, keep));
    for (size_t i = 0; i < n; i++) TRY(checkpoint_remove(place->layer, paths[i]));
out:
    names_free(paths, n);
    return status;
}
