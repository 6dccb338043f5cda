/* Inodes and names as they were asked for; a state is a replay of those effects that survive. */
#include "support/crash_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/text_buffer.h"

enum kind {
    OP_CREATE, /* inode, path */
    OP_WRITE,  /* inode, bytes, size, offset */
    OP_TRUNCATE,
    OP_SYNC,
    OP_MAKE_DIRECTORY,
    OP_RENAME, /* path, to */
    OP_SYNC_DIRECTORY,
    OP_REMOVE
};

struct operation {
    enum kind kind;
    int64_t inode;
    char *path, *to, *text;
    unsigned char *bytes;
    uint64_t size, offset;
};

struct open_file {
    int fd;
    int64_t inode;
};

struct crash_disk {
    struct file_layer layer;
    char *root;
    struct operation *operations;
    int64_t n, n_inodes;
    struct open_file *files;
    size_t n_files;
    bool no_file_syncs, no_directory_syncs;
};

/* ---- recording ---- */

static struct operation *record(struct crash_disk *disk, enum kind kind, const char *text)
{
    disk->operations =
        memory_resize(disk->operations, (size_t)disk->n + 1, sizeof *disk->operations);
    struct operation *operation = &disk->operations[disk->n++];
    *operation = (struct operation){.kind = kind, .inode = -1, .text = text_copy(text)};
    return operation;
}

/* Below the root, "" for it. */
static char *inside(const struct crash_disk *disk, const char *path)
{
    const size_t n = strlen(disk->root);
    ASSERT(strncmp(path, disk->root, n) == 0, "%s is not below %s", path, disk->root);
    return text_copy(path[n] == '/' ? path + n + 1 : path + n);
}

static struct operation *record_path(struct crash_disk *disk, enum kind kind, const char *verb,
                                     const char *path)
{
    char *name = inside(disk, path), *text = text_format("%s %s", verb, name);
    struct operation *operation = record(disk, kind, text);
    operation->path = name;
    free(text);
    return operation;
}

static int64_t inode_of(const struct crash_disk *disk, int fd)
{
    for (size_t i = disk->n_files; i-- > 0;)
        if (disk->files[i].fd == fd) return disk->files[i].inode;
    ASSERT(0, "nobody opened descriptor %d", fd);
    return -1;
}

static int crash_create(void *context, const char *path, bool direct)
{
    struct crash_disk *disk = context;
    const int fd = file_layer_system.create(NULL, path, direct);
    if (fd < 0) return fd;
    record_path(disk, OP_CREATE, "create", path)->inode = disk->n_inodes;
    disk->files = memory_resize(disk->files, disk->n_files + 1, sizeof *disk->files);
    disk->files[disk->n_files++] = (struct open_file){fd, disk->n_inodes++};
    return fd;
}

static int64_t crash_write(void *context, int fd, const void *bytes, size_t size, uint64_t offset)
{
    struct crash_disk *disk = context;
    const int64_t put = file_layer_system.write(NULL, fd, bytes, size, offset);
    if (put <= 0) return put;
    struct operation *operation = record(disk, OP_WRITE, "write");
    operation->inode = inode_of(disk, fd);
    operation->bytes = memory_new((size_t)put, 1);
    memcpy(operation->bytes, bytes, (size_t)put);
    operation->size = (uint64_t)put;
    operation->offset = offset;
    return put;
}

static int crash_truncate(void *context, int fd, uint64_t size)
{
    struct crash_disk *disk = context;
    struct operation *operation = record(disk, OP_TRUNCATE, "truncate");
    operation->inode = inode_of(disk, fd);
    operation->size = size;
    return file_layer_system.truncate(NULL, fd, size);
}

static int crash_sync(void *context, int fd)
{
    struct crash_disk *disk = context;
    if (!disk->no_file_syncs) record(disk, OP_SYNC, "fsync")->inode = inode_of(disk, fd);
    return 0; /* what is sure is this file's affair, not the machine's */
}

static int crash_close(void *context, int fd)
{
    struct crash_disk *disk = context;
    for (size_t i = 0; i < disk->n_files; i++)
        if (disk->files[i].fd == fd) disk->files[i] = disk->files[--disk->n_files];
    return file_layer_system.close(NULL, fd);
}

static int crash_make_directory(void *context, const char *path)
{
    struct crash_disk *disk = context;
    const int made = file_layer_system.make_directory(NULL, path);
    if (made == 0) record_path(disk, OP_MAKE_DIRECTORY, "mkdir", path)->inode = disk->n_inodes++;
    return made;
}

static int crash_rename(void *context, const char *from, const char *to)
{
    struct crash_disk *disk = context;
    const int moved = file_layer_system.rename(NULL, from, to);
    if (moved == 0) record_path(disk, OP_RENAME, "rename", from)->to = inside(disk, to);
    return moved;
}

static int crash_sync_directory(void *context, const char *path)
{
    struct crash_disk *disk = context;
    if (!disk->no_directory_syncs)
        (void)record_path(disk, OP_SYNC_DIRECTORY, "fsync directory", path);
    return 0;
}

static int crash_remove(void *context, const char *path)
{
    struct crash_disk *disk = context;
    const int removed = file_layer_system.remove(NULL, path);
    if (removed == 0) (void)record_path(disk, OP_REMOVE, "remove", path);
    return removed;
}

/* ---- life ---- */

struct crash_disk *crash_disk_create(const char *root)
{
    struct crash_disk *disk = memory_new(1, sizeof *disk);
    disk->root = text_copy(root);
    disk->layer = (struct file_layer){.context = disk,
                                      .create = crash_create,
                                      .write = crash_write,
                                      .truncate = crash_truncate,
                                      .sync = crash_sync,
                                      .close = crash_close,
                                      .make_directory = crash_make_directory,
                                      .rename = crash_rename,
                                      .sync_directory = crash_sync_directory,
                                      .remove = crash_remove};
    return disk;
}

void crash_disk_destroy(struct crash_disk *disk)
{
    for (int64_t i = 0; i < disk->n; i++) {
        free(disk->operations[i].path);
        free(disk->operations[i].to);
        free(disk->operations[i].text);
        free(disk->operations[i].bytes);
    }
    free(disk->operations);
    free(disk->files);
    free(disk->root);
    free(disk);
}

void crash_disk_ignore(struct crash_disk *disk, bool files, bool directories)
{
    disk->no_file_syncs = files;
    disk->no_directory_syncs = directories;
}

const struct file_layer *crash_disk_layer(const struct crash_disk *disk)
{
    return &disk->layer;
}

int64_t crash_disk_operations(const struct crash_disk *disk)
{
    return disk->n;
}

const char *crash_disk_describe(const struct crash_disk *disk, int64_t operation)
{
    return disk->operations[operation].text;
}

/* ---- what is sure ---- */

static bool changes_names(enum kind kind)
{
    return kind == OP_CREATE || kind == OP_MAKE_DIRECTORY || kind == OP_RENAME || kind == OP_REMOVE;
}

static bool is_in(const char *path, const char *directory)
{
    char *parent = path_parent(path);
    const bool same = strcmp(strcmp(parent, ".") == 0 ? "" : parent, directory) == 0;
    free(parent);
    return same;
}

/* Whether a later operation before n makes this one's effect sure. */
static bool is_sure(const struct crash_disk *disk, int64_t at, int64_t n)
{
    const struct operation *operation = &disk->operations[at];
    const bool data = operation->kind == OP_WRITE || operation->kind == OP_TRUNCATE;
    if (!data && !changes_names(operation->kind)) return true;
    for (int64_t i = at + 1; i < n; i++) {
        const struct operation *later = &disk->operations[i];
        if (data && later->kind == OP_SYNC && later->inode == operation->inode) return true;
        if (!data && later->kind == OP_SYNC_DIRECTORY && is_in(operation->path, later->path))
            return true;
    }
    return false;
}

int64_t crash_disk_unsure(struct crash_disk *disk, int64_t n)
{
    int64_t unsure = 0;
    for (int64_t i = 0; i < n; i++) unsure += !is_sure(disk, i, n);
    return unsure;
}

/* ---- a state ---- */

/* Files by inode, as they are being rebuilt: data goes to FOLDER/.inodes/N, names are links to it.
 * A directory that is moved takes its names along, as on a disk. */
struct rebuilding {
    const struct crash_disk *disk;
    const char *folder;
};

static char *inode_path(const struct rebuilding *state, int64_t inode)
{
    return text_format("%s.inodes/%lld", state->folder, (long long)inode);
}

static void write_data(const struct rebuilding *state, const struct operation *operation, bool half)
{
    char *path = inode_path(state, operation->inode);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    ASSERT(fd >= 0, "cannot write %s", path);
    if (operation->kind == OP_WRITE)
        ASSERT(pwrite(fd, operation->bytes, operation->size / (half ? 2 : 1),
                      (off_t)operation->offset) >= 0,
               "cannot write %s", path);
    else
        ASSERT(ftruncate(fd, (off_t)operation->size) == 0, "cannot cut %s", path);
    close(fd);
    free(path);
}

/* What cannot be done is lost: a name in a directory that is not there. */
static void change_name(const struct rebuilding *state, const struct operation *operation)
{
    char *path = path_join(state->folder, operation->path);
    char *to = operation->to == NULL ? NULL : path_join(state->folder, operation->to);
    char *inode = inode_path(state, operation->inode);
    int done = 0;
    switch (operation->kind) {
    case OP_CREATE: /* a name that is already there gets the new file */
        done = close(open(inode, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
        done = unlink(path);
        done = link(inode, path);
        break;
    case OP_MAKE_DIRECTORY: done = mkdir(path, 0777); break;
    case OP_RENAME: done = rename(path, to); break;
    default: done = remove(path); break;
    }
    (void)done;
    free(inode);
    free(to);
    free(path);
}

static void apply(const struct rebuilding *state, const struct operation *operation,
                  unsigned char keep)
{
    if (keep == CRASH_LOST) return;
    if (operation->kind == OP_WRITE || operation->kind == OP_TRUNCATE)
        write_data(state, operation, keep == CRASH_HALF);
    else if (changes_names(operation->kind))
        change_name(state, operation);
}

static void empty(const struct rebuilding *state)
{
    char *inodes = text_format("%s.inodes", state->folder);
    ASSERT(directory_remove(state->folder) == OK && directory_create(state->folder) == OK &&
               directory_remove(inodes) == OK && directory_create(inodes) == OK,
           "%s", status_message());
    free(inodes);
}

void crash_disk_build(struct crash_disk *disk, int64_t n, const unsigned char *keep,
                      const char *folder)
{
    const struct rebuilding state = {disk, folder};
    int64_t unsure = 0;
    empty(&state);
    for (int64_t i = 0; i < n; i++)
        apply(&state, &disk->operations[i], is_sure(disk, i, n) ? CRASH_KEPT : keep[unsure++]);
}
