/* How the ranks of a job over a model are laid out. */
#ifndef ROBIN_JOBS_JOB_MESH_H
#define ROBIN_JOBS_JOB_MESH_H

#include "comm/mesh.h"
#include "config/run_config.h"
#include "model/lm_slice.h"

struct device;

/* Collective. The mesh of config->parallel, and what this rank holds of a model there. Refused
 * where ranks were started with other files or arguments. */
enum status job_mesh_make(struct mesh *mesh_out, struct model_share *share_out, struct comm *comm,
                          const struct run_config *config);

/* Collective, when the model's device is open and before mesh_release comes device_close: how the
 * values of its GPUs travel (parallel.backend). */
enum status job_mesh_use_device(struct mesh *mesh, struct device *device,
                                const struct run_config *config);

#endif
