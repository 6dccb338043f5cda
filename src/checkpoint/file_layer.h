/* The operations that a checkpoint is committed with, as a table: the tests put a recorder or a
 * failing disk in place of the system's. Reading is not part of it. */
#ifndef ROBIN_CHECKPOINT_FILE_LAYER_H
#define ROBIN_CHECKPOINT_FILE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Each returns what its system call does: -1 with errno where it failed. */
struct file_layer {
    void *context;
    /* An empty file, for writing; its descriptor. */
    int (*create)(void *context, const char *path, bool direct);
    int64_t (*write)(void *context, int fd, const void *bytes, size_t size, uint64_t offset);
    int (*truncate)(void *context, int fd, uint64_t size);
    int (*sync)(void *context, int fd);
    int (*close)(void *context, int fd);
    int (*make_directory)(void *context, const char *path);
    int (*rename)(void *context, const char *from, const char *to);
    int (*sync_directory)(void *context, const char *path);
    int (*remove)(void *context, const char *path); /* a file or an empty directory */
};

extern const struct file_layer file_layer_system;

/* The same with sentences. `direct` past the page cache, where the file system can: then memory,
 * sizes and offsets must be multiples of FILE_LAYER_ALIGNMENT; cleared where it cannot. */
#define FILE_LAYER_ALIGNMENT 4096
struct layer_file { /* fd -1: closed */
    const struct file_layer *layer;
    const char *path; /* borrowed */
    int fd;
};
enum status layer_file_create(struct layer_file *file, const struct file_layer *layer,
                              const char *path, bool *direct);
enum status layer_file_write(struct layer_file *file, const void *bytes, size_t size,
                             uint64_t offset);
enum status layer_file_truncate(struct layer_file *file, uint64_t size);
/* fsync and close. */
enum status layer_file_finish(struct layer_file *file);
/* Closes without a word; fine when it is closed. */
void layer_file_abandon(struct layer_file *file);

/* Create, write, finish. */
enum status layer_write_file(const struct file_layer *layer, const char *path, const void *bytes,
                             size_t size);
/* The directory and its parents, each known to the disk. */
enum status layer_make_directories(const struct file_layer *layer, const char *path);
enum status layer_make_directory(const struct file_layer *layer, const char *path);
enum status layer_rename(const struct file_layer *layer, const char *from, const char *to);
enum status layer_sync_directory(const struct file_layer *layer, const char *path);
/* A file, or a directory and the files in it; missing is not an error. */
enum status layer_remove(const struct file_layer *layer, const char *path);

#endif
