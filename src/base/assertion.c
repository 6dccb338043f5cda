/* The last words of a program that found itself wrong. No allocation: memory may be what broke. */
#include "base/assertion.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void assertion_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: assertion failed: %s: %s; this is a defect of the program\n", file,
            line, condition, sentence);
    abort();
}
