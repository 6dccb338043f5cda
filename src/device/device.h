/* A place that computes, and its memory: the CPU, or one GPU. What is a GPU's is behind the table
 * of its driver (cuda_device.cu), which is there in builds with CUDA=1 only. */
#ifndef ROBIN_DEVICE_DEVICE_H
#define ROBIN_DEVICE_DEVICE_H

#include <stddef.h>

#include "base/status.h"

struct device;
struct stream;

/* `name` is "cpu" or "cuda"; of several GPUs the one with number `index`, modulo their count, is
 * taken. ERR_UNSUPPORTED with the remedy where this build or this machine has none. */
enum status device_open(struct device **device_out, const char *name, int index);
void device_close(struct device *device);
/* "NVIDIA H200, 140.4 GiB, compute capability 9.0" or "CPU"; lives as long as the device. */
const char *device_text(const struct device *device);

/* A stream of the device; `n_threads` is for the CPU. */
enum status device_stream(struct device *device, struct stream **stream_out, int n_threads);

/* Memory that kernels reach, aligned to 256 bytes, not zeroed. ERR_MEMORY says what for, how much
 * was asked for and how much is free. */
enum status device_take(struct device *device, void **memory_out, size_t bytes, const char *what);
void device_give(struct device *device, void *memory);
/* Host memory that copies to and from the device at full speed. */
enum status device_take_host(struct device *device, void **memory_out, size_t bytes);
void device_give_host(struct device *device, void *memory);

#endif
