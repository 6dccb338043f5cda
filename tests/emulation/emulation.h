/* What tests say to the emulated GPU. */
#ifndef ROBIN_TESTS_EMULATION_EMULATION_H
#define ROBIN_TESTS_EMULATION_EMULATION_H

#ifdef __cplusplus
extern "C" {
#endif

/* 0: threads and blocks from first to last; 1: from last to first; others: shuffled by the number.
 * NULL in programs without an emulated GPU. */
void emulation_set_order(unsigned order) __attribute__((weak));
/* How many graphs streams were handed. */
unsigned long emulation_graphs_run(void) __attribute__((weak));
/* The innermost range for profilers that this thread has begun and not ended; "" for none. */
const char *emulation_range(void) __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
