/* The system's file operations, and sentences for all of them. */
#include "checkpoint/file_layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define LEAST_STARTED ((ssize_t)1 << 20)

/* ---- the system ---- */

static int system_create(void *context, const char *path, bool direct)
{
    (void)context;
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (direct ? O_DIRECT : 0), 0666);
}

static int64_t system_write(void *context, int fd, const void *bytes, size_t size, uint64_t offset)
{
    (void)context;
    const ssize_t put = pwrite(fd, bytes, size, (off_t)offset);
    /* The disk starts now; left to itself the page cache would begin with the sync. Only a hint. */
    if (put >= LEAST_STARTED) (void)sync_file_range(fd, (off_t)offset, put, SYNC_FILE_RANGE_WRITE);
    return put;
}

static int system_truncate(void *context, int fd, uint64_t size)
{
    (void)context;
    return ftruncate(fd, (off_t)size);
}

static int system_sync(void *context, int fd)
{
    (void)context;
    return fsync(fd);
}

static int system_close(void *context, int fd)
{
    (void)context;
    return close(fd);
}

static int system_make_directory(void *context, const char *path)
{
    (void)context;
    return mkdir(path, 0777);
}

static int system_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return rename(from, to);
}

static int system_sync_directory(void *context, const char *path)
{
    (void)context;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    /* EINVAL: a file system without fsync of directories; there is nothing more to ask of it. */
    const int done = fsync(fd) != 0 && errno != EINVAL ? -1 : 0;
    const int error = errno;
    close(fd);
    errno = error;
    return done;
}

static int system_remove(void *context, const char *path)
{
    (void)context;
    struct stat about;
    if (lstat(path, &about) != 0) return -1;
    return S_ISDIR(about.st_mode) ? rmdir(path) : unlink(path);
}

const struct file_layer file_layer_system = {
    .create = system_create,
    .write = system_write,
    .truncate = system_truncate,
    .sync = system_sync,
    .close = system_close,
    .make_directory = system_make_directory,
    .rename = system_rename,
    .sync_directory = system_sync_directory,
    .remove = system_remove,
};

/* ---- with sentences ---- */

enum status layer_file_create(struct layer_file *file, const struct file_layer *layer,
                              const char *path, bool *direct)
{
    enum status status = OK;
    *file = (struct layer_file){.layer = layer, .path = path};
    file->fd = layer->create(layer->context, path, *direct);
    if (file->fd < 0 && *direct && errno == EINVAL) {
        *direct = false;
        file->fd = layer->create(layer->context, path, false);
    }
    if (file->fd < 0) FAIL(ERR_IO, "cannot create %s: %s", path, strerror(errno));
out:
    return status;
}

enum status layer_file_write(struct layer_file *file, const void *bytes, size_t size,
                             uint64_t offset)
{
    enum status status = OK;
    for (size_t done = 0; done < size;) {
        const int64_t put =
            file->layer->write(file->layer->context, file->fd, (const unsigned char *)bytes + done,
                               size - done, offset + done);
        if (put < 0 && errno == EINTR) continue;
        if (put == 0) errno = ENOSPC;
        if (put <= 0)
            FAIL(ERR_IO, "cannot write %zu bytes at %llu of %s: %s", size - done,
                 (unsigned long long)(offset + done), file->path, strerror(errno));
        done += (size_t)put;
    }
out:
    return status;
}

enum status layer_file_truncate(struct layer_file *file, uint64_t size)
{
    enum status status = OK;
    if (file->layer->truncate(file->layer->context, file->fd, size) != 0)
        FAIL(ERR_IO, "cannot cut %s at %llu bytes: %s", file->path, (unsigned long long)size,
             strerror(errno));
out:
    return status;
}

enum status layer_file_finish(struct layer_file *file)
{
    enum status status = OK;
    if (file->layer->sync(file->layer->context, file->fd) != 0)
        FAIL(ERR_IO, "cannot bring %s to disk: %s", file->path, strerror(errno));
    const int closed = file->layer->close(file->layer->context, file->fd);
    file->fd = -1;
    if (closed != 0) FAIL(ERR_IO, "cannot finish %s: %s", file->path, strerror(errno));
out:
    return status;
}

void layer_file_abandon(struct layer_file *file)
{
    if (file->fd >= 0) file->layer->close(file->layer->context, file->fd);
    file->fd = -1;
}

enum status layer_write_file(const struct file_layer *layer, const char *path, const void *bytes,
                             size_t size)
{
    enum status status = OK;
    struct layer_file file = {.fd = -1};
    bool direct = false;
    TRY(layer_file_create(&file, layer, path, &direct));
    TRY(layer_file_write(&file, bytes, size, 0));
    TRY(layer_file_finish(&file));
out:
    layer_file_abandon(&file);
    return status;
}

enum status layer_make_directory(const struct file_layer *layer, const char *path)
{
    enum status status = OK;
    if (layer->make_directory(layer->context, path) != 0)
        FAIL(ERR_IO, "cannot create directory %s: %s", path, strerror(errno));
out:
    return status;
}

enum status layer_make_directories(const struct file_layer *layer, const char *path)
{
    enum status status = OK;
    char *parent = path_parent(path);
    if (file_exists(path)) goto out;
    TRY(layer_make_directories(layer, parent));
    TRY(layer_make_directory(layer, path));
    TRY(layer_sync_directory(layer, parent));
out:
    free(parent);
    return status;
}

enum status layer_rename(const struct file_layer *layer, const char *from, const char *to)
{
    enum status status = OK;
    if (layer->rename(layer->context, from, to) != 0)
        FAIL(ERR_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
out:
    return status;
}

enum status layer_sync_directory(const struct file_layer *layer, const char *path)
{
    enum status status = OK;
    if (layer->sync_directory(layer->context, path) != 0)
        FAIL(ERR_IO, "cannot bring directory %s to disk: %s", path, strerror(errno));
out:
    return status;
}

enum status layer_remove(const struct file_layer *layer, const char *path)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    struct stat about;
    if (lstat(path, &about) != 0 && errno == ENOENT) goto out;
    if (S_ISDIR(about.st_mode)) TRY(directory_list(&names, &n, path));
    for (size_t i = 0; i < n; i++) {
        char *inner = path_join(path, names[i]);
        status = layer_remove(layer, inner);
        free(inner);
        if (status != OK) goto out;
    }
    if (layer->remove(layer->context, path) != 0)
        FAIL(ERR_IO, "cannot remove %s: %s", path, strerror(errno));
out:
    names_free(names, n);
    return status;
}
