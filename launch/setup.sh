#!/bin/bash
# Installs the Debian packages that building, testing and running need.
#
# usage: launch/setup.sh            installs what is missing (needs root or sudo)
#        launch/setup.sh --check    only says what is missing; exit code 1 if something is
#        launch/setup.sh --slurm    what launch/mini-slurm and its test need too: SLURM and munge
#        launch/setup.sh --fuzz     what `make fuzz` needs too: clang with libFuzzer
#
# On a cluster without apt, load modules that give the same: a C compiler, MPI (Open MPI 4.1 or 5),
# HDF5 (the serial library), OpenBLAS, libyaml, jansson, libjpeg-turbo, libpng, utf8proc,
# cairo, expat, libcurl, libmicrohttpd; for the tests cmocka, for `make lint` clang-format and universal-ctags.
set -euo pipefail

packages=(
    make gcc g++ libc6-dev pkg-config git
    libopenmpi-dev openmpi-bin
    libhdf5-dev hdf5-tools zlib1g-dev
    libopenblas-dev
    libyaml-dev libjansson-dev
    libjpeg62-turbo-dev libpng-dev
    libutf8proc-dev
    nettle-dev
    libcairo2-dev
    libexpat1-dev
    libcurl4-openssl-dev libmicrohttpd-dev
    libcmocka-dev
    python3 python3-h5py
    clang-format universal-ctags
    procps time
)

[ "${1:-}" != --slurm ] || packages+=(slurmctld slurmd slurm-client munge environment-modules)
[ "${1:-}" != --fuzz ] || packages+=(clang libclang-rt-14-dev)

missing() {
    local package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            echo "$package"
    done
}

# Not Debian: the compiler and linker will say what is missing.
if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not a Debian system: see the top of launch/setup.sh for what is needed" >&2
    [ "${1:-}" = --check ] && exit 0
    exit 1
fi

mapfile -t wanted < <(missing)
if [ "${#wanted[@]}" -eq 0 ]; then
    echo "setup: all packages are installed"
    exit 0
fi
if [ "${1:-}" = --check ]; then
    echo "setup: missing: ${wanted[*]}"
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "setup: missing: ${wanted[*]}; ask an administrator to install them" >&2
        exit 1
    }
    as_root=(sudo)
fi
echo "setup: installing ${wanted[*]}"
"${as_root[@]}" apt-get -qq update
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -qq install -y --no-install-recommends \
    "${wanted[@]}" >/dev/null
echo "setup: done"
