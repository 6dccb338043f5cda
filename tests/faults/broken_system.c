/* A library for LD_PRELOAD that makes one rank's system fail as machines do, around a program that
 * knows nothing of it: calls on files below a folder, the clock, messages between ranks.
 *
 *     BROKEN_RANK     of Open MPI's numbering; without it: all
 *     BROKEN_PATH     calls on paths that contain this text
 *     BROKEN_CALL     create, write, sync, rename, truncate or mkdir
 *     BROKEN_ERROR    EIO, ENOSPC, EROFS, EACCES; of write also "short": half of what was asked for
 *     BROKEN_AFTER    this many of those calls go well (0); of write: bytes, so that the one that
 *                     reaches beyond them fails
 *     BROKEN_TIMES    this many fail, then all go well again; without it: all from then on
 *     BROKEN_CLOCK_S  the time of day is that many seconds ahead
 *     BROKEN_SEND_US  each message between two ranks takes that much longer */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <mpi.h>

#define MOST_FILES 4096
#define ALIGNMENT  4096 /* of a short write past the page cache */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool meant[MOST_FILES]; /* descriptors of the files in question */
static int64_t passed, failed;

/* The library's own function of that name, into `function`. */
static void real(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) abort();
    memcpy(function, &found, sizeof found);
}

/* Taken before the program begins: MPI_Init adds to the environment while others ask here. */
static struct {
    const char *name;
    char *text;
} settings[] = {{"BROKEN_RANK", NULL},    {"BROKEN_PATH", NULL},    {"BROKEN_CALL", NULL},
                {"BROKEN_ERROR", NULL},   {"BROKEN_AFTER", NULL},   {"BROKEN_TIMES", NULL},
                {"BROKEN_CLOCK_S", NULL}, {"BROKEN_SEND_US", NULL}, {"OMPI_COMM_WORLD_RANK", NULL}};

__attribute__((constructor)) static void take_settings(void)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        const char *text = getenv(settings[i].name);
        if (text != NULL && (settings[i].text = strdup(text)) == NULL) abort();
    }
}

static const char *setting(const char *name)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (strcmp(settings[i].name, name) == 0)
            return settings[i].text == NULL ? "" : settings[i].text;
    abort(); /* a name that the table lacks */
}

static int64_t number(const char *name, int64_t none)
{
    const char *text = setting(name);
    return *text == '\0' ? none : strtoll(text, NULL, 10);
}

static bool is_rank(void)
{
    const char *wanted = setting("BROKEN_RANK");
    return *wanted == '\0' || strcmp(wanted, setting("OMPI_COMM_WORLD_RANK")) == 0;
}

static bool is_path(const char *path)
{
    const char *wanted = setting("BROKEN_PATH");
    return *wanted != '\0' && is_rank() && strstr(path, wanted) != NULL;
}

static int error_number(void)
{
    static const struct {
        const char *name;
        int number;
    } errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EACCES", EACCES}};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(setting("BROKEN_ERROR"), errors[i].name) == 0) return errors[i].number;
    return 0; /* "short" */
}

/* Whether this call is to fail; `amount` is what it adds to those that went well. */
static bool fails(const char *call, int64_t amount)
{
    if (strcmp(setting("BROKEN_CALL"), call) != 0) return false;
    pthread_mutex_lock(&mutex);
    passed += amount;
    const bool fail =
        passed > number("BROKEN_AFTER", 0) && failed < number("BROKEN_TIMES", INT64_MAX);
    failed += fail;
    pthread_mutex_unlock(&mutex);
    return fail;
}

static bool path_fails(const char *call, const char *path)
{
    if (!is_path(path) || !fails(call, 1)) return false;
    errno = error_number();
    return true;
}

static bool is_meant(int fd)
{
    return fd >= 0 && fd < MOST_FILES && meant[fd];
}

/* ---- files ---- */

static int opened(const char *name, const char *path, int flags, unsigned mode)
{
    int (*call)(const char *, int, ...);
    real(&call, name);
    const bool creates = (flags & O_CREAT) != 0;
    if (creates && path_fails("create", path)) return -1;
    const int fd = call(path, flags, mode);
    if (fd >= 0 && fd < MOST_FILES) meant[fd] = is_path(path);
    return fd;
}

static unsigned mode_of(int flags, va_list arguments)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const unsigned mode = mode_of(flags, arguments);
    va_end(arguments);
    return opened("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const unsigned mode = mode_of(flags, arguments);
    va_end(arguments);
    return opened("open64", path, flags, mode);
}

int close(int fd)
{
    int (*call)(int);
    real(&call, "close");
    if (is_meant(fd)) meant[fd] = false;
    return call(fd);
}

/* How much of a write is let through; -1: it fails. */
static ssize_t allowed(int fd, size_t size)
{
    if (!is_meant(fd) || !fails("write", (int64_t)size)) return (ssize_t)size;
    errno = error_number();
    if (errno != 0) return -1;
    const bool direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
    const size_t half = direct ? size / 2 / ALIGNMENT * ALIGNMENT : size / 2;
    return (ssize_t)(half > 0 ? half : size);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    ssize_t (*call)(int, const void *, size_t);
    real(&call, "write");
    const ssize_t n = allowed(fd, size);
    return n < 0 ? -1 : call(fd, bytes, (size_t)n);
}

static ssize_t written_at(const char *name, int fd, const void *bytes, size_t size, off_t offset)
{
    ssize_t (*call)(int, const void *, size_t, off_t);
    real(&call, name);
    const ssize_t n = allowed(fd, size);
    return n < 0 ? -1 : call(fd, bytes, (size_t)n, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return written_at("pwrite", fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return written_at("pwrite64", fd, bytes, size, offset);
}

int fsync(int fd)
{
    int (*call)(int);
    real(&call, "fsync");
    if (!is_meant(fd) || !fails("sync", 1)) return call(fd);
    errno = error_number();
    return -1;
}

int ftruncate(int fd, off_t size)
{
    int (*call)(int, off_t);
    real(&call, "ftruncate");
    if (!is_meant(fd) || !fails("truncate", 1)) return call(fd, size);
    errno = error_number();
    return -1;
}

int rename(const char *from, const char *to)
{
    int (*call)(const char *, const char *);
    real(&call, "rename");
    return path_fails("rename", to) ? -1 : call(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    int (*call)(const char *, mode_t);
    real(&call, "mkdir");
    return path_fails("mkdir", path) ? -1 : call(path, mode);
}

/* ---- the time of day ---- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int (*call)(clockid_t, struct timespec *);
    real(&call, "clock_gettime");
    const int code = call(clock, now);
    if (clock == CLOCK_REALTIME && is_rank()) now->tv_sec += number("BROKEN_CLOCK_S", 0);
    return code;
}

/* ---- messages ---- */

int MPI_Sendrecv(const void *out, int n_out, MPI_Datatype out_type, int to, int out_tag, void *in,
                 int n_in, MPI_Datatype in_type, int from, int in_tag, MPI_Comm ranks,
                 MPI_Status *about)
{
    const int64_t pause = is_rank() ? number("BROKEN_SEND_US", 0) : 0;
    if (pause > 0) usleep((useconds_t)pause);
    return PMPI_Sendrecv(out, n_out, out_type, to, out_tag, in, n_in, in_type, from, in_tag, ranks,
                         about);
}

/* Ranks that share processors measure no links: here every one has enough. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    int (*call)(pid_t, size_t, cpu_set_t *);
    real(&call, "sched_getaffinity");
    const int code = call(pid, size, set);
    for (size_t cpu = 0; number("BROKEN_SEND_US", -1) >= 0 && cpu < 64; cpu++) CPU_SET(cpu, set);
    return code;
}
