# robin-dist. `make help` lists the targets.
#
#   SAN=address   build/asan: address and undefined-behaviour sanitizers
#   SAN=fuzz      build/fuzz: the same with libFuzzer, by clang (`make fuzz`)
#   DEBUG=1       build/debug: costly assertions
#   CUDA=1        build/cuda: with the GPU backend (`make help-cuda` says what it finds)
#   V=1           print every command
#   MARCH=...     the processor to build for (default: this one)
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:

VARIANT := $(if $(filter fuzz,$(SAN)),fuzz,$(if $(SAN),asan,$(if $(DEBUG),debug,$(if $(CUDA),cuda,cpu))))
BUILD := build/$(VARIANT)
MARCH ?= native
# One short line a command, or the command itself with V=1.
quiet = $(if $(V),,@echo '  $(1) $@';)
PREFIX ?= /usr/local
# Reference tensors and samples that are not part of the repository; tests skip what is not there.
ROBIN_SHARED ?= ../shared
export ROBIN_SHARED

MPICC ?= mpicc
CLANG_FORMAT ?= clang-format
CLANG ?= clang
PACKAGES := yaml-0.1 jansson libjpeg libpng libutf8proc cairo nettle openblas expat libcurl libmicrohttpd
CC := $(MPICC)
CPPFLAGS := -Isrc -Ikernels -Itests -D_GNU_SOURCE
CPPFLAGS += $(shell pkg-config --cflags hdf5 2>/dev/null || echo -I/usr/include/hdf5/serial)
CPPFLAGS += $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
# -Wno-psabi: vectors wider than the machine's are split by the compiler; none crosses a library's border.
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wvla -Werror -Wno-psabi
CFLAGS := -std=c11 -O3 -march=$(MARCH) -ffp-contract=off -fno-math-errno -g -pthread $(WARNINGS)
LDFLAGS := -pthread
LDLIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
LDLIBS += $(shell pkg-config --libs hdf5 2>/dev/null || echo -L/usr/lib/$(shell gcc -dumpmachine)/hdf5/serial -lhdf5)
LDLIBS += -lz -lm
ifeq ($(SAN),address)
CFLAGS := $(filter-out -O3,$(CFLAGS)) -O1 -fsanitize=address,undefined
CFLAGS += -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined -Wl,--export-dynamic-symbol=dlclose
endif
ifeq ($(SAN),fuzz)
# Another compiler has other warnings: gcc's are the ones that count.
CC := OMPI_CC=$(CLANG) MPICH_CC=$(CLANG) $(MPICC)
CFLAGS := $(filter-out -O3 $(WARNINGS),$(CFLAGS)) -O1 -w -fsanitize=address,undefined
CFLAGS += -fno-sanitize-recover=undefined -fno-omit-frame-pointer -fsanitize=fuzzer-no-link
LDFLAGS += -fsanitize=address,undefined,fuzzer
endif
ifeq ($(DEBUG),1)
CFLAGS := $(filter-out -O3,$(CFLAGS)) -O1 -DROBIN_DEBUG
endif

# ---- the GPU backend ----
# With CUDA=1 the .cu files are compiled by nvcc and linked into everything. Without, the same files
# are compiled by the C++ compiler for an emulated GPU, and linked into tests alone.
CUDA_HOME ?= $(firstword $(wildcard /usr/local/cuda /opt/cuda) $(patsubst %/bin/nvcc,%,$(shell command -v nvcc)))
NVCC ?= $(CUDA_HOME)/bin/nvcc
CUDA_ARCHITECTURES ?= 80 90
CUDA_SOURCES := $(wildcard kernels/cuda/*.cu src/device/*.cu src/comm/*.cu)
CUDA_OBJECTS := $(CUDA_SOURCES:%.cu=build/cuda/%.o)
NVCCFLAGS := -std=c++20 -O3 -fmad=false -lineinfo -Xcompiler -Wall,-pthread
NVCCFLAGS += $(foreach a,$(CUDA_ARCHITECTURES),-gencode arch=compute_$(a),code=sm_$(a))
# Libraries of NVIDIA's are opened when needed; the runtime is linked in: one program for all machines.
CUDA_LDLIBS := -L$(CUDA_HOME)/lib64 -lcudart_static -ldl -lrt -lstdc++
EMULATED_OBJECTS := $(CUDA_SOURCES:%.cu=$(BUILD)/emulated/%.o)
EMULATED_OBJECTS += $(patsubst %.cc,$(BUILD)/%.o,$(wildcard tests/emulation/*.cc))
# Which GPU a program has: of its tests some have the emulated one.
GPU_OBJECTS := $(if $(filter cuda,$(VARIANT)),$(CUDA_OBJECTS))
GPU_LDLIBS := $(if $(filter cuda,$(VARIANT)),$(CUDA_LDLIBS))
TEST_GPU_OBJECTS := $(if $(filter cuda,$(VARIANT)),$(CUDA_OBJECTS),$(EMULATED_OBJECTS))
TEST_GPU_LDLIBS := $(if $(filter cuda,$(VARIANT)),$(CUDA_LDLIBS),-lstdc++)

LIB_SOURCES := $(filter-out src/main.c,$(wildcard src/*.c src/*/*.c src/*/*/*.c))
LIB_SOURCES += $(wildcard kernels/*.c kernels/ref/*.c kernels/cpu/*.c)
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/librobin.a

# Every tests/FOLDER/NAME_test.c is one program, every .c under tests/support/ is shared by them,
# every tests/bench/*.c is one benchmark.
TEST_SOURCES := $(filter-out tests/support/%,$(wildcard tests/*/*_test.c))
# With a true GPU there is no emulated one to be tested.
TEST_SOURCES := $(filter-out $(if $(filter cuda,$(VARIANT)),tests/device/emulation_test.c),$(TEST_SOURCES))
TEST_PROGRAMS := $(TEST_SOURCES:%.c=$(BUILD)/%)
TEST_SUPPORT_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
BENCH_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
# Every tests/fuzz/NAME_fuzz.c is a fuzz target: with a main that replays inputs, or libFuzzer's.
FUZZ_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_OBJECTS := $(BUILD)/tests/fuzz/fuzz.o
FUZZ_OBJECTS += $(if $(filter fuzz,$(VARIANT)),,$(BUILD)/tests/fuzz/fuzz_replay.o)
# The golden tool is build/VARIANT/tests/golden: its objects cannot stand in a folder of that name.
GOLDEN_SOURCES := $(wildcard tests/golden/*.c)
GOLDEN_OBJECTS := $(GOLDEN_SOURCES:tests/golden/%.c=$(BUILD)/golden-objects/%.o)
GOLDEN_TOOL := $(if $(GOLDEN_SOURCES),$(BUILD)/tests/golden)
GPU_BENCH := $(BUILD)/tests/gpu/gpu_operations $(BUILD)/tests/gpu/gpu_generate
STEP_BENCH := $(BUILD)/tests/bench/lm_step_bench $(BUILD)/tests/bench/tower_bench

.PHONY: all help packages tests check check-large check-meshes check-kills faults demo bench lint print-compile format asan install clean
all: robin-dist ## build ./robin-dist (the default)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

robin-dist: $(BUILD)/robin-dist
	@cp -f $< $@
# Under a sanitizer MPI's plug-ins stay loaded, or its report of leaks could not name them.
KEEP_LIBRARIES := $(if $(SAN),$(BUILD)/tests/support/keep_libraries.o)
$(BUILD)/robin-dist: $(BUILD)/src/main.o $(KEEP_LIBRARIES) $(GPU_OBJECTS) $(LIBRARY)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(GPU_LDLIBS)
# The same program with the GPU backend, as `make CUDA=1` links it: `make check` has it compiled.
$(BUILD)/with-cuda/robin-dist: $(BUILD)/src/main.o $(KEEP_LIBRARIES) $(CUDA_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(CUDA_LDLIBS)
# And with the emulated one, for tests of whole runs.
$(BUILD)/emulated/robin-dist: $(BUILD)/src/main.o $(KEEP_LIBRARIES) $(EMULATED_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lstdc++
# main alone knows the version: a commit then links one program anew and not every test.
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
$(BUILD)/src/main.o: CPPFLAGS += -DROBIN_VERSION='"$(VERSION)"'
$(BUILD)/src/main.o: $(BUILD)/version.list
$(BUILD)/version.list: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
# The list of objects is a prerequisite: a source that went away must leave the library too.
$(LIBRARY): $(LIB_OBJECTS) $(BUILD)/library.list
	@rm -f $@
	@ar rcs $@ $(LIB_OBJECTS)
$(BUILD)/library.list: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_OBJECTS)' | cmp -s - $@ || echo '$(LIB_OBJECTS)' >$@
.PHONY: FORCE
FORCE:
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call quiet,compile)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

build/cuda/%.o: %.cu
	@mkdir -p $(@D)
	$(call quiet,nvcc)$(NVCC) -Isrc -Ikernels -D_GNU_SOURCE $(NVCCFLAGS) -MMD -MP -c -o $@ $<
# -w: what the compiler of the machine at hand says of C++ is not what counts; gcc's C and nvcc are.
EMULATED_CXX := $(CXX) -std=c++20 -Itests $(CPPFLAGS) $(filter-out -std=% -W%,$(CFLAGS)) -w
EMULATED_CXX += -include tests/emulation/cuda_emulation.hh
$(BUILD)/emulated/%.o: %.cu
	@mkdir -p $(@D)
	$(call quiet,emulate)$(EMULATED_CXX) -MMD -MP -x c++ -c -o $@ $<
$(BUILD)/tests/emulation/%.o: tests/emulation/%.cc
	@mkdir -p $(@D)
	$(call quiet,emulate)$(EMULATED_CXX) -MMD -MP -c -o $@ $<

packages: # installs the Debian packages that are missing
	@launch/setup.sh --check >/dev/null || launch/setup.sh

# Preloaded by tests/faults: a system whose calls fail.
BROKEN_SYSTEM := $(BUILD)/tests/faults/broken_system.so
$(BROKEN_SYSTEM): tests/faults/broken_system.c
	@mkdir -p $(@D)
	$(call quiet,link)$(CC) $(CPPFLAGS) $(filter-out -fsanitize%,$(CFLAGS)) -fPIC -shared -o $@ $< -ldl

tests: $(TEST_PROGRAMS) $(BROKEN_SYSTEM) $(FUZZ_PROGRAMS) $(GOLDEN_TOOL) $(BUILD)/tests/teacher_server $(GPU_BENCH) $(STEP_BENCH) $(if $(filter cuda,$(VARIANT)),,$(BUILD)/emulated/robin-dist) ## build the tests
GPU_TESTS := $(filter $(BUILD)/tests/kernels/% $(BUILD)/tests/device/% $(BUILD)/tests/comm/comm_device_test $(BUILD)/tests/generate/engine_test,$(TEST_PROGRAMS))
$(GPU_TESTS): $(TEST_GPU_OBJECTS)
$(GPU_TESTS): GPU_LDLIBS := $(TEST_GPU_LDLIBS)
$(filter-out $(GPU_TESTS),$(TEST_PROGRAMS)): $(GPU_OBJECTS)
$(TEST_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o $(TEST_SUPPORT_OBJECTS) $(LIBRARY)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBRARY) -lcmocka $(LDLIBS) $(GPU_LDLIBS)
$(BENCH_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o $(TEST_SUPPORT_OBJECTS) $(LIBRARY)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBRARY) -lcmocka $(LDLIBS) $(GPU_LDLIBS)
$(BENCH_PROGRAMS): $(GPU_OBJECTS)
# Of the benchmarks two are the GPU's as well, which tests try out on the emulated one.
$(STEP_BENCH): $(TEST_GPU_OBJECTS)
$(STEP_BENCH): GPU_LDLIBS := $(TEST_GPU_LDLIBS)
$(GPU_BENCH): $(BUILD)/%: $(BUILD)/%.o $(TEST_GPU_OBJECTS) $(LIBRARY)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(TEST_GPU_LDLIBS)
$(FUZZ_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o $(FUZZ_OBJECTS) $(LIBRARY)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tests/golden: $(GOLDEN_OBJECTS) $(BUILD)/tests/support/batch_maker.o $(KEEP_LIBRARIES) $(TEST_GPU_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(TEST_GPU_LDLIBS)
# The test's teacher is build/VARIANT/tests/teacher_server, for scripts and for the demo.
TEACHER_SERVER := $(BUILD)/tests/teacher_server
$(TEACHER_SERVER): $(BUILD)/tests/sgedit/teacher_server_main.o $(TEST_SUPPORT_OBJECTS) $(GPU_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(call quiet,link)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS) $(GPU_LDLIBS)
$(BUILD)/golden-objects/%.o: tests/golden/%.c
	@mkdir -p $(@D)
	$(call quiet,compile)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# As many jobs as cores, unless the caller chose.
JOBS = $(if $(filter --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
# Through a second make: where packages were missing, this one has looked for them in vain.
check: packages ## build and run the tests; ONLY=PATTERN runs those whose path holds PATTERN
	@$(MAKE) --no-print-directory $(JOBS) all tests $(if $(wildcard $(NVCC)),$(BUILD)/with-cuda/robin-dist)
	@tests/run.sh $(BUILD) $(ONLY)

check-large: packages ## the reference tensors of true size, with memory and minutes
	@$(MAKE) --no-print-directory $(JOBS) tests
	@tests/run_large.sh $(BUILD)

check-meshes: packages ## the parallel trainer on every mesh and switch, 10,000 random steps, 64 ranks: an hour
	@$(MAKE) --no-print-directory $(JOBS) all tests
	@tests/run_meshes.sh $(BUILD)

faults: packages ## kill a run at 200 random instants (KILLS=N, SEED=N), over training, saving and resuming; failing disks
	@$(MAKE) --no-print-directory $(JOBS) all tests
	@ROBIN_BUILD=$(BUILD) tests/faults/io_faults.sh long
	@ROBIN_BUILD=$(BUILD) tests/faults/kill_matrix.sh $(or $(KILLS),200) $(SEED)

check-kills: packages ## generation killed 100 times (KILLS=N): same bytes, nothing finished paid for twice; ten minutes
	@$(MAKE) --no-print-directory $(JOBS) all tests
	@KILLS=$(or $(KILLS),100) ROBIN_BUILD=$(BUILD) tests/sgedit/generate_kill_test.sh

demo: packages ## train a tiny ROBIN from rendered scenes on 4 ranks, edit what it drafts, show its scores
	@$(MAKE) --no-print-directory $(JOBS) all $(TEACHER_SERVER)
	@ROBIN_BUILD=$(BUILD) launch/demo.sh

bench: packages ## measure tokens/s, loader images/s, tokenizer MB/s on this machine
	@$(MAKE) --no-print-directory $(JOBS) all
	@$(MAKE) --no-print-directory $(JOBS) bench-programs
	@tests/run_bench.sh $(BUILD)
.PHONY: bench-programs
bench-programs: $(BENCH_PROGRAMS)

help-cuda: ## what `make CUDA=1` finds on this machine
	@echo "CUDA_HOME  $(or $(CUDA_HOME),not found: set CUDA_HOME=)"
	@echo "nvcc       $$($(NVCC) --version 2>/dev/null | grep -o 'release.*' || echo 'not found: install the CUDA toolkit or set NVCC=')"
	@echo "for        $(CUDA_ARCHITECTURES:%=sm_%)"
	@for header in cublasLt cudnn nccl; do \
	    found=$$(ls $(CUDA_HOME)/include/$$header.h /usr/local/include/$$header.h /usr/include/$$header.h 2>/dev/null | head -1); \
	    printf '%-10s %s\n' "$$header" "$${found:-not found}"; done
	@echo "GPU        $$(nvidia-smi -L 2>/dev/null || echo 'none on this machine')"
.PHONY: help-cuda

lint: packages ## check layers, sizes, names, formatting, headers, dead symbols, config keys
	@$(MAKE) --no-print-directory $(JOBS) all tests
	@python3 tests/lint/lint.py $(BUILD)
print-compile: # for lint: how a header is compiled
	@echo $(CC) $(CPPFLAGS) $(CFLAGS)

format: ## let clang-format write the sources
	git ls-files '*.c' '*.h' | xargs $(CLANG_FORMAT) -i

asan: packages ## build with address and undefined-behaviour sanitizers and run the tests
	@$(MAKE) --no-print-directory SAN=address check

fuzz: packages ## feed hostile input to every reader; SECONDS=60 each, or RUNS=N; TARGET=NAME for one
	@launch/setup.sh --fuzz
	@$(MAKE) --no-print-directory $(JOBS) all
	@$(MAKE) --no-print-directory $(JOBS) SAN=fuzz fuzz-programs
	@tests/run_fuzz.sh build/fuzz '$(FUZZ_LIMIT)' $(TARGET)
FUZZ_LIMIT = $(if $(RUNS),-runs=$(RUNS),-max_total_time=$(or $(filter-out 0,$(FUZZ_SECONDS)),60))
FUZZ_SECONDS = $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS))
.PHONY: fuzz fuzz-programs
fuzz-programs: $(FUZZ_PROGRAMS)

install: all ## copy program, configs, what these name, launch scripts and a modulefile to PREFIX
	install -D robin-dist $(DESTDIR)$(PREFIX)/bin/robin-dist
	find datasets/mixtures datasets/tokenizer-scenes configs -type f | while read -r file; do \
	    install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/robin-dist/$$file || exit 1; done
	find $(DESTDIR)$(PREFIX)/share/robin-dist/configs -name '*.yaml' -exec sed -i \
	    's;\(datasets/mixtures/\|datasets/tokenizer-scenes\);$(PREFIX)/share/robin-dist/\1;' {} +
	cd launch && install -D -t $(DESTDIR)$(PREFIX)/share/robin-dist/launch \
	    mpirun.sh slurm_run.sh robin.sbatch robin-srun.sbatch seeds.sbatch submit_stages.sh
	@mkdir -p $(DESTDIR)$(PREFIX)/share/modulefiles
	sed 's|@PREFIX@|$(PREFIX)|' launch/modulefile.in \
	    >$(DESTDIR)$(PREFIX)/share/modulefiles/robin-dist

clean: ## remove build/
	rm -rf build robin-dist

-include $(shell find build -name '*.d' 2>/dev/null)
