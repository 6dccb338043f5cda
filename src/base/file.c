/* Reads with limits, writes that appear whole or not at all. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heartbeat.h"
#include "base/text_buffer.h"

/* Reads fd to its end. The size that fstat gave is a hint: files under /proc say 0. */
static enum status read_to_end(unsigned char **bytes_out, size_t *size_out, int fd, size_t hint,
                               size_t limit, const char *path)
{
    enum status status = OK;
    size_t capacity = hint + 1;
    size_t size = 0;
    unsigned char *bytes = malloc(capacity + 1);
    if (bytes == NULL) FAIL(ERR_MEMORY, "no memory for the %zu bytes of %s", capacity, path);
    for (;;) {
        heartbeat_beat();
        ssize_t got = read(fd, bytes + size, capacity - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FAIL(ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (got == 0) break;
        size += (size_t)got;
        if (size > limit)
            FAIL(ERR_LIMIT, "%s has more than %zu bytes, the limit for this file", path, limit);
        if (size < capacity) continue;
        capacity *= 2;
        unsigned char *grown = realloc(bytes, capacity + 1);
        if (grown == NULL) FAIL(ERR_MEMORY, "no memory for the %zu bytes of %s", capacity, path);
        bytes = grown;
    }
    bytes[size] = '\0';
    *bytes_out = bytes;
    *size_out = size;
    bytes = NULL;
out:
    free(bytes);
    return status;
}

enum status file_read(unsigned char **bytes_out, size_t *size_out, const char *path, size_t limit)
{
    enum status status = OK;
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &about) != 0) FAIL(ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    if (S_ISDIR(about.st_mode)) FAIL(ERR_IO, "cannot read %s: it is a directory", path);
    size_t hint = S_ISREG(about.st_mode) ? (size_t)about.st_size : 0;
    if (hint > limit)
        FAIL(ERR_LIMIT, "%s has %zu bytes, the limit for this file is %zu", path, hint, limit);
    TRY(read_to_end(bytes_out, size_out, fd, hint, limit, path));
out:
    if (fd >= 0) close(fd);
    return status;
}

enum status file_pread(int fd, void *bytes, size_t size, uint64_t offset, const char *path)
{
    enum status status = OK;
    size_t done = 0;
    while (done < size) {
        heartbeat_beat();
        ssize_t got = pread(fd, (unsigned char *)bytes + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            FAIL(ERR_IO, "cannot read %zu bytes at %llu of %s: %s", size,
                 (unsigned long long)offset, path, strerror(errno));
        if (got == 0)
            FAIL(ERR_FORMAT,
                 "%s ends early: wanted %zu bytes at offset %llu, found %zu; the file is cut short",
                 path, size, (unsigned long long)offset, done);
        done += (size_t)got;
    }
out:
    return status;
}

enum status file_pwrite(int fd, const void *bytes, size_t size, uint64_t offset, const char *path)
{
    enum status status = OK;
    size_t done = 0;
    while (done < size) {
        heartbeat_beat();
        ssize_t put =
            pwrite(fd, (const unsigned char *)bytes + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0)
            FAIL(ERR_IO, "cannot write %zu bytes at %llu of %s: %s", size,
                 (unsigned long long)offset, path, strerror(errno));
        done += (size_t)put;
    }
out:
    return status;
}

enum status atomic_file_open(struct atomic_file *file, const char *path)
{
    enum status status = OK;
    *file = (struct atomic_file){.fd = -1};
    file->path = text_copy(path);
    file->aside = text_format("%s.tmp.%ld", path, (long)getpid());
    file->fd = open(file->aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0) FAIL(ERR_IO, "cannot create %s: %s", file->aside, strerror(errno));
out:
    if (status != OK) atomic_file_abandon(file);
    return status;
}

enum status atomic_file_write(struct atomic_file *file, const void *bytes, size_t size)
{
    enum status status = OK;
    TRY(file_pwrite(file->fd, bytes, size, file->offset, file->aside));
    file->offset += size;
out:
    return status;
}

char *path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return text_copy(".");
    if (slash == path) return text_copy("/");
    return text_format("%.*s", (int)(slash - path), path);
}

enum status atomic_file_commit(struct atomic_file *file)
{
    enum status status = OK;
    char *parent = path_parent(file->path);
    if (fsync(file->fd) != 0)
        FAIL(ERR_IO, "cannot bring %s to disk: %s", file->aside, strerror(errno));
    int closed = close(file->fd);
    file->fd = -1;
    if (closed != 0) FAIL(ERR_IO, "cannot finish %s: %s", file->aside, strerror(errno));
    if (rename(file->aside, file->path) != 0)
        FAIL(ERR_IO, "cannot rename %s to %s: %s", file->aside, file->path, strerror(errno));
    free(file->aside);
    file->aside = NULL;
    TRY(directory_sync(parent));
out:
    free(parent);
    atomic_file_abandon(file);
    return status;
}

void atomic_file_abandon(struct atomic_file *file)
{
    /* aside is set exactly while there is something to undo, so zeroed memory (fd 0) is safe. */
    if (file->aside != NULL) {
        if (file->fd >= 0) close(file->fd);
        unlink(file->aside);
    }
    free(file->aside);
    free(file->path);
    *file = (struct atomic_file){.fd = -1};
}

enum status file_write_atomic(const char *path, const void *bytes, size_t size)
{
    enum status status = OK;
    struct atomic_file file = {.fd = -1};
    TRY(atomic_file_open(&file, path));
    TRY(atomic_file_write(&file, bytes, size));
    TRY(atomic_file_commit(&file));
out:
    atomic_file_abandon(&file);
    return status;
}

bool file_exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

/* One level; an existing directory is fine. */
static enum status create_one(const char *path)
{
    enum status status = OK;
    struct stat about;
    if (mkdir(path, 0777) == 0) return OK;
    int error = errno;
    bool exists = stat(path, &about) == 0;
    if (exists && S_ISDIR(about.st_mode)) return OK;
    if (exists) FAIL(ERR_IO, "cannot create directory %s: a file of that name is there", path);
    FAIL(ERR_IO, "cannot create directory %s: %s", path, strerror(error));
out:
    return status;
}

enum status directory_create(const char *path)
{
    enum status status = OK;
    char *prefix = text_copy(path);
    if (path[0] == '\0') FAIL(ERR_ARGUMENT, "cannot create a directory with an empty name");
    for (char *slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        TRY(create_one(prefix));
        *slash = '/';
    }
    TRY(create_one(prefix));
out:
    free(prefix);
    return status;
}

enum status directory_sync(const char *path)
{
    enum status status = OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) FAIL(ERR_IO, "cannot open directory %s: %s", path, strerror(errno));
    /* EINVAL: a file system without fsync on directories; there is nothing more to ask of it. */
    if (fsync(fd) != 0 && errno != EINVAL)
        FAIL(ERR_IO, "cannot bring directory %s to disk: %s", path, strerror(errno));
out:
    if (fd >= 0) close(fd);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status directory_list(char ***names_out, size_t *n_out, const char *path)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) FAIL(ERR_IO, "cannot list directory %s: %s", path, strerror(errno));
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL && errno != 0)
            FAIL(ERR_IO, "cannot list directory %s: %s", path, strerror(errno));
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        names = memory_resize(names, n + 1, sizeof *names);
        names[n++] = text_copy(entry->d_name);
    }
    if (n > 1) qsort(names, n, sizeof *names, compare_names);
    *names_out = names;
    *n_out = n;
    names = NULL;
    n = 0;
out:
    names_free(names, n);
    if (directory != NULL) closedir(directory);
    return status;
}

void names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) free(names[i]);
    free(names);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about;
    (void)kind;
    (void)walk;
    return remove(path);
}

enum status directory_remove(const char *path)
{
    enum status status = OK;
    const int open_directories = 16;
    struct stat about;
    if (lstat(path, &about) != 0 && errno == ENOENT) return OK;
    /* Depth first, links removed and not followed. */
    if (nftw(path, remove_entry, open_directories, FTW_DEPTH | FTW_PHYS) != 0)
        FAIL(ERR_IO, "cannot remove %s: %s", path, strerror(errno));
out:
    return status;
}

char *path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    bool has_slash = length > 0 && directory[length - 1] == '/';
    return text_format("%s%s%s", directory, has_slash ? "" : "/", name);
}
