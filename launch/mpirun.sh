#!/bin/bash
# mpirun for one machine: as many ranks as asked for, whatever the number of cores, one thread each.
#
# usage: launch/mpirun.sh -np N PROGRAM [ARGUMENT...]
set -euo pipefail

options=(--oversubscribe --bind-to none)
[ "$(id -u)" -ne 0 ] || options+=(--allow-run-as-root)

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
# Ranks of one container may not read each other's memory; without this Open MPI says so each time.
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
# The same of Open MPI 5, whose shared memory has another name.
export OMPI_MCA_btl_sm_single_copy_mechanism=${OMPI_MCA_btl_sm_single_copy_mechanism:-none}
# Where a container hides /sys, the topology library says so once per rank.
export HWLOC_HIDE_ERRORS=${HWLOC_HIDE_ERRORS:-2}
# More ranks than cores: a rank that waits must let the others work.
export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}

exec mpirun "${options[@]}" "$@"
