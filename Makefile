# robin-dist. `make help` lists the targets.
#
#   SAN=address   build/asan: address and undefined-behaviour sanitizers
#   DEBUG=1       build/debug: costly assertions
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:

VARIANT := $(if $(SAN),asan,$(if $(DEBUG),debug,cpu))
BUILD := build/$(VARIANT)

MPICC ?= mpicc
PACKAGES := hdf5-serial yaml-0.1 jansson libjpeg libpng libpcre2-8 libutf8proc cairo openblas
CC := $(MPICC)
CPPFLAGS := -Isrc -Ikernels -Itests -D_GNU_SOURCE $(shell pkg-config --cflags hdf5 2>/dev/null || echo -I/usr/include/hdf5/serial)
CPPFLAGS += $(shell pkg-config --cflags yaml-0.1 jansson libjpeg libpng libpcre2-8 libutf8proc cairo openblas 2>/dev/null)
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wvla -Werror
CFLAGS := -std=c11 -O3 -march=native -ffp-contract=off -g -pthread $(WARNINGS)
LDFLAGS := -pthread
LDLIBS := $(shell pkg-config --libs yaml-0.1 jansson libjpeg libpng libpcre2-8 libutf8proc cairo openblas 2>/dev/null) \
          -L/usr/lib/x86_64-linux-gnu/hdf5/serial -lhdf5 -lz -lm
ifeq ($(SAN),address)
CFLAGS := $(filter-out -O3,$(CFLAGS)) -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif
ifeq ($(DEBUG),1)
CFLAGS := $(filter-out -O3,$(CFLAGS)) -O1 -DROBIN_DEBUG
endif

LIB_SOURCES := $(filter-out src/main.c,$(wildcard src/*.c src/*/*.c src/*/*/*.c)) $(wildcard kernels/*.c kernels/ref/*.c kernels/cpu/*.c)
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/librobin.a

# Every tests/FOLDER/NAME_test.c is one program; every other .c under tests/support/ is shared by them.
TEST_SOURCES := $(wildcard tests/*/*_test.c)
TEST_SUPPORT := $(wildcard tests/support/*.c)
TEST_PROGRAMS := $(TEST_SOURCES:%.c=$(BUILD)/%)
# The golden tool is build/VARIANT/tests/golden, so its objects cannot stand in a folder of that name.
GOLDEN_SOURCES := $(wildcard tests/golden/*.c)
GOLDEN_OBJECTS := $(GOLDEN_SOURCES:tests/golden/%.c=$(BUILD)/golden-objects/%.o)
GOLDEN_TOOL := $(BUILD)/tests/golden
TEST_SUPPORT_OBJECTS := $(TEST_SUPPORT:%.c=$(BUILD)/%.o)

.PHONY: all help tests clean
all: robin-dist

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

robin-dist: $(BUILD)/robin-dist
	@cp -f $< $@
$(BUILD)/robin-dist: $(BUILD)/src/main.o $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(LIBRARY): $(LIB_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

tests: $(TEST_PROGRAMS) $(if $(GOLDEN_SOURCES),$(GOLDEN_TOOL)) ## build the tests
$(TEST_PROGRAMS): $(BUILD)/%: $(BUILD)/%.o $(TEST_SUPPORT_OBJECTS) $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
$(GOLDEN_TOOL): $(GOLDEN_OBJECTS) $(TEST_SUPPORT_OBJECTS) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/golden-objects/%.o: tests/golden/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

clean: ## remove build/
	rm -rf build robin-dist

-include $(shell find build -name '*.d' 2>/dev/null)
