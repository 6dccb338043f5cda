/* When we are wrong, not the user: always compiled in; prints place and sentence, then aborts. */
#ifndef ROBIN_BASE_ASSERTION_H
#define ROBIN_BASE_ASSERTION_H

#define ASSERT(condition, ...)                                                                     \
    ((condition) ? (void)0 : assertion_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))

#ifdef ROBIN_DEBUG
#define DEBUG_ASSERT(condition, ...) ASSERT(condition, __VA_ARGS__)
#else
#define DEBUG_ASSERT(condition, ...) ((void)0)
#endif

void assertion_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

#endif
