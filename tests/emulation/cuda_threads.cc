/* Blocks of fibers. See cuda_emulation.hh. */
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "emulation/emulation.h"
#include "emulation/emulation_parts.hh"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define MAX_LANES   1024
#define WARP        32
#define MAX_WORDS   16
#define STACK_BYTES (256 * 1024)
#define FRAME_BYTES 4096 /* of run_fiber, at most */

namespace
{
/* A copy that was asked for and is not waited for yet. */
struct later_copy {
    unsigned char *to;
    const unsigned char *from;
    int bytes, n_read;
    unsigned group;
};

struct fiber : emulation::lane {
    std::vector<later_copy> copies;
    unsigned groups; /* committed */
    void *stack_pointer;
    ucontext_t context;
    void *fake_stack; /* the address sanitizer's */
    bool done;
    unsigned exchanges;
};

struct warp {
    unsigned lanes, arrived, generation;
    uint32_t words[2][WARP * MAX_WORDS];
};

/* The block in work: one at a time, whoever launches. */
struct {
    fiber fibers[MAX_LANES];
    unsigned order[MAX_LANES]; /* who comes after whom */
    unsigned place[MAX_LANES]; /* of a fiber in that order */
    warp warps[MAX_LANES / WARP];
    unsigned char *stacks;
    unsigned n, alive, arrived, generation, idle;
    const std::function<void()> *body;
    fiber host; /* the launching thread itself */
} block;

unsigned chosen_order;
std::mutex in_work;
#ifdef __SANITIZE_ADDRESS__
const void *host_bottom; /* the launching thread's stack */
size_t host_size;
#endif
} // namespace

namespace emulation
{
lane *current;
uint3 block_index;
dim3 block_size, grid_size;
unsigned char *dynamic_shared;

void fail(const char *sentence)
{
    std::fprintf(stderr, "cuda emulation: %s (block %u %u %u, thread %u)\n", sentence,
                 block_index.x, block_index.y, block_index.z, current ? current->index : 0);
    std::abort();
}
} // namespace emulation

using emulation::fail;

extern "C" void emulation_set_order(unsigned order)
{
    chosen_order = order;
}

/* ---- switching ---- */

#ifdef __x86_64__
extern "C" void emulation_switch(void **save, void *load);
asm(R"(
.text
.type emulation_switch, @function
emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
#endif

static void switch_to(fiber *from, fiber *to)
{
    emulation::current = to;
#ifdef __SANITIZE_ADDRESS__
    const bool to_host = to == &block.host;
    __sanitizer_start_switch_fiber(from->done ? nullptr : &from->fake_stack,
                                   to_host ? host_bottom
                                           : block.stacks + (size_t)to->index * STACK_BYTES,
                                   to_host ? host_size : STACK_BYTES);
#endif
#ifdef __x86_64__
    emulation_switch(&from->stack_pointer, to->stack_pointer);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(from->fake_stack, &bottom, &size);
#endif
}

static fiber *next_of(const fiber *self)
{
    for (unsigned k = 1; k <= block.n; k++) {
        fiber *other = &block.fibers[block.order[(block.place[self->index] + k) % block.n]];
        if (!other->done) return other;
    }
    return &block.host;
}

/* Lets the others run. Nobody moving for several rounds means that nobody ever will. */
static void yield()
{
    fiber *self = static_cast<fiber *>(emulation::current);
    fiber *other = next_of(self);
    if (other == self || ++block.idle > 4 * block.n)
        fail("threads wait at a barrier that the others do not come to");
    switch_to(self, other);
}

static void release_block()
{
    block.arrived = 0;
    block.generation++;
    block.idle = 0;
}

static void run_fiber()
{
    fiber *self = static_cast<fiber *>(emulation::current);
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    if (self->index == block.order[0]) {
        host_bottom = bottom;
        host_size = size;
    }
#endif
    (*block.body)();
    self->done = true;
    block.idle = 0;
    block.alive--;
    if (!self->copies.empty()) fail("a thread ended while copies of its own are under way");
    if (block.warps[self->index / WARP].arrived > 0)
        fail("a thread ended while others of its warp wait for it");
    if (block.alive > 0 && block.arrived == block.alive) release_block();
    switch_to(self, next_of(self));
    std::abort();
}

static void prepare_fiber(fiber *f, unsigned index)
{
    unsigned char *stack = block.stacks + (size_t)index * STACK_BYTES;
    const dim3 &size = emulation::block_size;
    f->index = index;
    f->thread = {index % size.x, index / size.x % size.y, index / size.x / size.y};
    f->done = false;
    f->exchanges = 0;
    f->groups = 0;
    f->copies.clear();
    f->fake_stack = nullptr;
#ifdef __SANITIZE_ADDRESS__
    /* run_fiber, which had this stack before, never returned: its frame is still marked. */
    __asan_unpoison_memory_region(stack + STACK_BYTES - FRAME_BYTES, FRAME_BYTES);
#endif
#ifdef __x86_64__
    void **top = (void **)(void *)(stack + STACK_BYTES);
    top[-1] = nullptr;
    top[-2] = (void *)run_fiber;
    for (int i = 3; i <= 8; i++) top[-i] = nullptr;
    f->stack_pointer = top - 8;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = nullptr;
    makecontext(&f->context, run_fiber, 0);
#endif
}

/* ---- what kernels call ---- */

void emulation::block_barrier()
{
    const unsigned generation = block.generation;
    block.idle = 0;
    if (++block.arrived == block.alive)
        release_block();
    else
        while (block.generation == generation) yield();
}

const uint32_t *emulation::warp_exchange(const uint32_t *words, int n)
{
    fiber *self = static_cast<fiber *>(current);
    warp *w = &block.warps[self->index / WARP];
    if (w->lanes != WARP) fail("a warp of fewer than 32 threads exchanges values");
    uint32_t *buffer = w->words[self->exchanges++ % 2];
    std::memcpy(buffer + (self->index % WARP) * (unsigned)n, words, (size_t)n * sizeof *words);
    const unsigned generation = w->generation;
    block.idle = 0;
    if (++w->arrived == WARP) {
        w->arrived = 0;
        w->generation++;
    } else {
        while (w->generation == generation) yield();
    }
    return buffer;
}

void emulation::copy_later(void *to, const void *from, int bytes, int n_read)
{
    fiber *self = static_cast<fiber *>(current);
    if ((uintptr_t)to % (size_t)bytes != 0 || (uintptr_t)from % (size_t)bytes != 0)
        fail("a copy beside computing is not at a multiple of its size");
    std::memset(to, 0xff, (size_t)bytes); /* NaN for who does not wait */
    self->copies.push_back({(unsigned char *)to, (const unsigned char *)from, bytes, n_read,
                            self->groups});
}

void emulation::end_copy_group()
{
    static_cast<fiber *>(current)->groups++;
}

void emulation::wait_for_copies(unsigned but_last)
{
    fiber *self = static_cast<fiber *>(current);
    std::vector<later_copy> left;
    for (const later_copy &copy : self->copies) {
        if (copy.group + but_last >= self->groups) {
            left.push_back(copy);
            continue;
        }
        std::memcpy(copy.to, copy.from, (size_t)copy.n_read);
        std::memset(copy.to + copy.n_read, 0, (size_t)(copy.bytes - copy.n_read));
    }
    self->copies = left;
}

/* ---- launching ---- */

/* Element `i` of `n` in the chosen order: multiplying by a number without common factors. */
static uint64_t ordered(uint64_t i, uint64_t n)
{
    if (chosen_order == 0) return i;
    if (chosen_order == 1) return n - 1 - i;
    static const uint64_t primes[] = {7919, 104729, 15485863};
    for (uint64_t prime : primes)
        if (n % prime != 0) return (i * prime + chosen_order) % n;
    return i;
}

static void run_block(size_t shared_bytes)
{
    static std::vector<unsigned char> shared;
    shared.assign(shared_bytes + 16, 0xff);
    emulation::dynamic_shared =
        shared.data() + (16 - (uintptr_t)shared.data() % 16) % 16; /* as aligned as on a device */
    block.alive = block.n;
    block.arrived = 0;
    block.idle = 0;
    for (unsigned w = 0; w < (block.n + WARP - 1) / WARP; w++) {
        const unsigned left = block.n - w * WARP;
        block.warps[w].lanes = left < WARP ? left : WARP;
        block.warps[w].arrived = 0;
    }
    for (unsigned i = 0; i < block.n; i++) prepare_fiber(&block.fibers[i], i);
    block.host.done = false;
    switch_to(&block.host, &block.fibers[block.order[0]]);
    emulation::current = nullptr;
}

static void run_grid(dim3 grid, dim3 size, size_t shared_bytes, const std::function<void()> &body)
{
    const uint64_t n_blocks = (uint64_t)grid.x * grid.y * grid.z;
    emulation::grid_size = grid;
    emulation::block_size = size;
    block.n = size.x * size.y * size.z;
    block.body = &body;
    for (unsigned i = 0; i < block.n; i++) {
        block.order[i] = (unsigned)ordered(i, block.n);
        block.place[block.order[i]] = i;
    }
    for (uint64_t i = 0; i < n_blocks; i++) {
        const uint64_t b = ordered(i, n_blocks);
        emulation::block_index = {(unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                                  (unsigned)(b / grid.x / grid.y)};
        run_block(shared_bytes);
    }
}

void emulation::launch(dim3 grid, dim3 size, size_t shared_bytes, cudaStream_t stream,
                       std::function<void()> body)
{
    const uint64_t threads = (uint64_t)size.x * size.y * size.z;
    if (threads == 0 || threads > MAX_LANES || size.z > 64) fail("a block of impossible size");
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
        fail("a grid of impossible size");
    if (shared_bytes > 227 * 1024) fail("more shared memory than a block can have");
    enqueue_work(stream, [=]() { run_grid(grid, size, shared_bytes, body); });
}

void emulation::enqueue_work(cudaStream_t stream, std::function<void()> work)
{
    enqueue(stream, [=]() { run_exclusively(work); });
}

/* One piece of work at a time, with device memory open to it. */
void emulation::run_exclusively(const std::function<void()> &work)
{
    std::lock_guard<std::mutex> lock(in_work);
    if (block.stacks == nullptr) {
        void *stacks = mmap(nullptr, (size_t)MAX_LANES * STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED) fail("no memory for stacks");
        block.stacks = (unsigned char *)stacks;
    }
    open_memory();
    work();
    close_memory();
}
