/* Measuring the rates of this machine. */
#ifndef ROBIN_PLAN_CALIBRATE_H
#define ROBIN_PLAN_CALIBRATE_H

#include "comm/comm.h"
#include "plan/rates.h"
#include "train/run_setup.h"

/* Collective. The model's own products, attention and convolutions at its widths, and copies, on
 * all ranks at once; messages between them where there are several, else those of the built-in row.
 * A second or two. */
enum status rates_measure(struct machine_rates *rates_out, const struct run_model *model,
                          struct comm *comm);

#endif
