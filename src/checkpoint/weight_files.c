/* Finds the safetensors files behind a path and holds their tensors in one sorted list. */
#include "checkpoint/weight_files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"

#define INDEX_NAME      "model.safetensors.index.json"
#define MAX_INDEX_BYTES ((size_t)64 << 20)

struct weight_files {
    struct safetensors **files;
    int64_t n_files;
    struct weight_tensor *tensors;
    int64_t n_tensors;
};

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), tail_length = strlen(tail);
    return length >= tail_length && strcmp(text + length - tail_length, tail) == 0;
}

static enum status add_file(struct weight_files *files, const char *path)
{
    enum status status = OK;
    struct safetensors *file = NULL;
    TRY(safetensors_open(&file, path));
    files->files = memory_resize(files->files, (size_t)files->n_files + 1, sizeof *files->files);
    files->files[files->n_files++] = file;

    int64_t n = safetensors_count(file);
    if (n > 0)
        files->tensors =
            memory_resize(files->tensors, (size_t)(files->n_tensors + n), sizeof *files->tensors);
    for (int64_t i = 0; i < n; i++)
        files->tensors[files->n_tensors++] = (struct weight_tensor){file, safetensors_at(file, i)};
out:
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const struct weight_tensor *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

static enum status sort_tensors(struct weight_files *files)
{
    enum status status = OK;
    if (files->n_tensors == 0) FAIL(ERR_FORMAT, "no tensors in it");
    qsort(files->tensors, (size_t)files->n_tensors, sizeof *files->tensors, compare_names);
    for (int64_t i = 1; i < files->n_tensors; i++) {
        struct weight_tensor a = files->tensors[i - 1], b = files->tensors[i];
        if (strcmp(a.tensor->name, b.tensor->name) == 0)
            FAIL(ERR_FORMAT, "tensor %s is in both %s and %s", b.tensor->name,
                 safetensors_path(a.file), safetensors_path(b.file));
    }
out:
    return status;
}

/* A file name of an index: of this folder, nothing else. */
static bool plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           ends_with(name, ".safetensors");
}

static bool has_file(const struct weight_files *files, const char *path)
{
    for (int64_t i = 0; i < files->n_files; i++)
        if (strcmp(safetensors_path(files->files[i]), path) == 0) return true;
    return false;
}

static enum status open_named_files(struct weight_files *files, json_t *map, const char *directory,
                                    struct json_place place)
{
    enum status status = OK;
    char *path = NULL;
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        if (!json_is_string(value) || !plain_name(json_string_value(value)))
            FAIL(ERR_FORMAT, "%s: weight_map[\"%s\"] is not the name of a .safetensors file",
                 place.file, name);
        free(path);
        path = path_join(directory, json_string_value(value));
        if (!has_file(files, path)) TRY(add_file(files, path));
    }
out:
    free(path);
    return status;
}

/* Both ways: what the index says is there, and nothing else is. */
static enum status compare_with_index(const struct weight_files *files, json_t *map,
                                      const char *index_path)
{
    enum status status = OK;
    for (int64_t i = 0; i < files->n_tensors; i++) {
        const char *name = files->tensors[i].tensor->name;
        const char *path = safetensors_path(files->tensors[i].file);
        const char *base = strrchr(path, '/');
        const json_t *value = json_object_get(map, name);
        if (value == NULL)
            FAIL(ERR_FORMAT, "%s: tensor %s is not listed in %s", path, name, index_path);
        if (strcmp(json_string_value(value), base != NULL ? base + 1 : path) != 0)
            FAIL(ERR_FORMAT, "%s: weight_map puts %s into %s, but it is in %s", index_path, name,
                 json_string_value(value), path);
    }
    if ((size_t)files->n_tensors == json_object_size(map)) goto out;
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        bool found = false;
        for (int64_t i = 0; i < files->n_tensors && !found; i++)
            found = strcmp(files->tensors[i].tensor->name, name) == 0;
        if (!found)
            FAIL(ERR_FORMAT, "%s: tensor %s is missing from %s", index_path, name,
                 json_string_value(value));
    }
out:
    return status;
}

static enum status open_index(struct weight_files *files, const char *directory, const char *path)
{
    enum status status = OK;
    json_t *root = NULL, *map = NULL;
    struct json_place place = {path, ""};
    TRY(json_file_read(&root, path, MAX_INDEX_BYTES));
    TRY(json_field(&map, root, "weight_map", JSON_OBJECT, place));
    TRY(open_named_files(files, map, directory, place));
    TRY_WHERE(sort_tensors(files), "%s", path);
    TRY(compare_with_index(files, map, path));
out:
    json_decref(root);
    return status;
}

static enum status open_folder(struct weight_files *files, const char *directory)
{
    enum status status = OK;
    char *index = path_join(directory, INDEX_NAME);
    char *single = path_join(directory, "model.safetensors");
    if (file_exists(index)) {
        TRY(open_index(files, directory, index));
    } else if (file_exists(single)) {
        TRY(add_file(files, single));
        TRY_WHERE(sort_tensors(files), "%s", single);
    } else {
        FAIL(ERR_IO,
             "%s: neither model.safetensors nor %s is in this folder; pickled weights (.bin, .pt) "
             "must be converted to safetensors first",
             directory, INDEX_NAME);
    }
out:
    free(index);
    free(single);
    return status;
}

enum status weight_files_open(struct weight_files **files_out, const char *path)
{
    enum status status = OK;
    struct weight_files *files = memory_new(1, sizeof *files);
    struct stat about;
    if (stat(path, &about) != 0) FAIL(ERR_IO, "cannot open %s: no such file or folder", path);
    if (S_ISDIR(about.st_mode)) {
        TRY(open_folder(files, path));
    } else if (ends_with(path, ".bin") || ends_with(path, ".pt") || ends_with(path, ".pth")) {
        FAIL(ERR_UNSUPPORTED,
             "%s is a pickle, which can run code when it is read; convert it: python3 -c \"import "
             "torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in "
             "torch.load('%s', weights_only=True).items()}, 'model.safetensors')\"",
             path, path);
    } else {
        TRY(add_file(files, path));
        TRY_WHERE(sort_tensors(files), "%s", path);
    }
    *files_out = files;
    files = NULL;
out:
    weight_files_close(files);
    return status;
}

void weight_files_close(struct weight_files *files)
{
    if (files == NULL) return;
    for (int64_t i = 0; i < files->n_files; i++) safetensors_close(files->files[i]);
    free(files->files);
    free(files->tensors);
    free(files);
}

int64_t weight_files_count(const struct weight_files *files)
{
    return files->n_tensors;
}

struct weight_tensor weight_files_at(const struct weight_files *files, int64_t index)
{
    return files->tensors[index];
}
