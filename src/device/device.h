/* A place that computes: the CPU, or one GPU. What is a GPU's is behind the table
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

#endif
