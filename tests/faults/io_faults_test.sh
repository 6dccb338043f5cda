#!/bin/bash
# The short form of what `make faults` does with failing disks.
exec tests/faults/io_faults.sh short
