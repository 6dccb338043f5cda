#!/bin/bash
# The short form of `make faults`: ten kills.
exec tests/faults/kill_matrix.sh 10 "${SEED:-$RANDOM}"
