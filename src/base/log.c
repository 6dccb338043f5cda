/* Lines for people, each handed to the system in one write so that ranks do not cut into each
 * other's. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text_buffer.h"

static int speaker_rank;
static int speaker_count = 1;
static enum log_level shown_level = LOG_INFO;
static _Atomic bool live_line_shown;

#define ERASE_LINE "\r\033[K"

void log_set_rank(int rank, int n_ranks)
{
    speaker_rank = rank;
    speaker_count = n_ranks;
}

void log_set_level(enum log_level level)
{
    shown_level = level;
}

bool log_speaks(void)
{
    return speaker_rank == 0 && shown_level >= LOG_INFO;
}

static void speak(enum log_level level, const char *prefix, const char *format, va_list arguments)
{
    if (level > shown_level) return;
    if (level == LOG_INFO && speaker_rank != 0) return;
    struct text_buffer line = {0};
    if (live_line_shown) text_append(&line, ERASE_LINE);
    live_line_shown = false;
    text_append(&line, prefix);
    if (speaker_count > 1 && speaker_rank != 0) text_printf(&line, "rank %d: ", speaker_rank);
    text_vprintf(&line, format, arguments);
    text_append_char(&line, '\n');
    fwrite(line.text, 1, line.length, stderr);
    text_release(&line);
}

void log_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    speak(LOG_ERROR, "error: ", format, arguments);
    va_end(arguments);
}

void log_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    speak(LOG_WARN, "warning: ", format, arguments);
    va_end(arguments);
}

void log_info(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    speak(LOG_INFO, "", format, arguments);
    va_end(arguments);
}

void log_debug(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    speak(LOG_DEBUG, "debug: ", format, arguments);
    va_end(arguments);
}

bool log_is_live(void)
{
    return speaker_rank == 0 && shown_level >= LOG_INFO && isatty(STDERR_FILENO);
}

void log_live(const char *format, ...)
{
    if (!log_is_live()) return;
    struct text_buffer line = {0};
    va_list arguments;
    va_start(arguments, format);
    text_append(&line, ERASE_LINE);
    text_vprintf(&line, format, arguments);
    va_end(arguments);
    fwrite(line.text, 1, line.length, stderr);
    fflush(stderr);
    live_line_shown = true;
    text_release(&line);
}
