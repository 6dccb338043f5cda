/* A place that computes: the CPU, or one GPU. What is a GPU's is behind the table
 * of its driver (cuda_device.cu), which is there in builds with CUDA=1 only. */
#ifndef ROBIN_DEVICE_DEVICE_H
#define ROBIN_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define DEVICE_TEXT_BYTES 320

struct device;
struct stream;

/* `name` is "cpu" or "cuda"; of several GPUs the one with number `index`, modulo their count, is
 * taken. ERR_UNSUPPORTED with the remedy where this build or this machine has none. */
enum status device_open(struct device **device_out, const char *name, int index);
void device_close(struct device *device);
/* "NVIDIA H200, 140.4 GiB, compute capability 9.0" or "CPU"; lives as long as the device. */
const char *device_text(const struct device *device);

bool device_is_gpu(const struct device *device);
/* The same text for the same GPU in every process of a machine: its place on the bus. */
enum status device_identity(const struct device *device, char text[DEVICE_TEXT_BYTES]);

/* A stream of the device; `n_threads` is for the CPU. */
enum status device_stream(struct device *device, struct stream **stream_out, int n_threads);
/* One beside the computing: for copies and messages, and kernels that need no scratch. */
enum status device_side_stream(struct device *device, struct stream **stream_out);
/* Each thread that hands work to a GPU, but the one that opened it, calls this first. */
enum status device_use(const struct device *device);

#endif
