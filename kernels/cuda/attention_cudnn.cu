/* Attention by cuDNN: two plans for a stream, made before the first step for its largest batch; then
 * every call gives them its offsets and pointers. The gradients of q go into dqkv's rows at once,
 * those of k and v apart and then into the rows: so rule (b) of attention_graph.cuh costs least.
 *
 * In a fixed order (the default) dS of all pairs goes through memory: batch * H * longest^2 * 2
 * bytes. So many sequences are given to one call as fit in ATTENTION_PLAN_BYTES; the others follow. */
#include "device_code.cuh"

extern "C" {
#include "cuda/attention_cudnn.h"
#include "cuda/shared_library.h"
}

#if defined ROBIN_CUDA_EMULATED || __has_include(<cudnn.h>)

#include <cmath>
#include <cstdlib>

#include "attention_graph.cuh"

#define ROUNDS 5 /* of a measurement */

/* One direction. */
struct attention_plan {
    struct graph graph;
    descriptor plan;
    int64_t batch;
    size_t bytes;
};

/* What cuDNN is given beside the caller's tensors: the GPU's memory. */
struct attention_memory {
    void *all;
    int64_t *at_q, *at_out, *at_stats, *at_dkv; /* [pieces, B + 1]: offsets of sequences, elements */
    int32_t *length;                            /* [pieces, B] */
    float *stats, *delta;                       /* [T, H] */
    bf16 *dk, *dv;                              /* [T, KV, D] */
    bf16 *dk_full, *dv_full;                    /* [T, H, D], where H > KV */
    float *dq_sum;                              /* [T, H + 2 KV, D], where the order is any */
    void *plan;                                 /* the plans' own */
};

struct cudnn_attention {
    struct cudnn_functions cudnn;
    cudnnHandle_t handle;
    struct stream *stream;
    struct attention_ways ways;
    int64_t t, longest, h, kv, d;
    struct attention_plan forward, backward;
    struct attention_memory memory;
    float scale, minus_infinity, one; /* cuDNN reads them when it is called */
};

static int64_t row_of(const struct cudnn_attention *c)
{
    return (c->h + 2 * c->kv) * c->d;
}

/* ---- the library ---- */

static enum status open_library(struct cudnn_functions *cudnn)
{
#ifdef ROBIN_CUDA_EMULATED
#define LINKED(NAME) cudnn->NAME = ::NAME;
    CUDNN_FUNCTIONS(LINKED)
#undef LINKED
    return getenv("ROBIN_EMULATED_NO_CUDNN") == NULL
               ? OK
               : status_fail(ERR_UNSUPPORTED, "cannot load libcudnn.so.9: it is hidden");
#else
    static const char *const names[] = {"libcudnn.so.9", "libcudnn.so", nullptr};
#define SYMBOL(NAME) {#NAME, (void **)&cudnn->NAME},
    const struct library_symbol symbols[] = {CUDNN_FUNCTIONS(SYMBOL)};
#undef SYMBOL
    return library_open(names, symbols, (int)(sizeof symbols / sizeof symbols[0]));
#endif
}

static enum status cudnn_failed(const struct cudnn_attention *c, cudnnStatus_t error,
                                const char *doing)
{
    return status_fail(ERR_UNSUPPORTED,
                       "cuDNN's attention of %lld/%lld heads of %lld, sequences of up to %lld: %s "
                       "failed: %s; set train.attention: own",
                       (long long)c->h, (long long)c->kv, (long long)c->d, (long long)c->longest,
                       doing, c->cudnn.cudnnGetErrorString(error));
}

static void release_plan(struct attention_plan *plan)
{
    if (plan->graph.cudnn != nullptr) graph_release(&plan->graph);
    *plan = {};
}

static void attention_destroy(void *state)
{
    struct cudnn_attention *c = (struct cudnn_attention *)state;
    release_plan(&c->forward);
    release_plan(&c->backward);
    if (c->handle != nullptr) (void)c->cudnn.cudnnDestroy(c->handle);
    if (c->memory.all != nullptr) stream_give(c->stream, c->memory.all);
    free(c);
}

/* ---- plans ---- */

static int64_t backward_batch(const struct cudnn_attention *c)
{
    return attention_backward_batch(c->t, c->longest, c->h, c->ways.any_order);
}

static enum status build_plan(struct cudnn_attention *c, struct attention_plan *plan, int64_t batch,
                              bool backward)
{
    const struct graph_shape shape = {.batch = batch, .longest = c->longest, .h = c->h, .kv = c->kv,
                                      .d = c->d, .row_q = row_of(c), .row_dq = row_of(c),
                                      .row_dkv = c->kv * c->d, .any_order = c->ways.any_order};
    const struct graph_device device = {c->handle, nullptr};
    int64_t bytes = 0, n = 0;
    if (batch == 0)
        return status_fail(ERR_LIMIT,
                           "cuDNN's attention backward in a fixed order needs %zu bytes for a "
                           "sequence of %lld tokens, more than the %zu it is given; set "
                           "train.attention: own, or train.deterministic: false",
                           attention_fixed_order_bytes(c->longest, c->h), (long long)c->longest,
                           ATTENTION_PLAN_BYTES);
    plan->graph.cudnn = &c->cudnn;
    plan->batch = batch;
    if (backward)
        build_backward(&plan->graph, shape);
    else
        build_forward(&plan->graph, shape);
    plan->plan = make_plan(&plan->graph, &device);
    if (plan->plan == nullptr)
        return cudnn_failed(c, plan->graph.error, plan->graph.failed_at);
    const cudnnStatus_t error = c->cudnn.cudnnBackendGetAttribute(
        plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes);
    if (error != CUDNN_STATUS_SUCCESS) return cudnn_failed(c, error, "asking for its memory");
    plan->bytes = (size_t)bytes;
    return OK;
}

/* ---- memory ---- */

/* Part of `all`, or with no memory yet only counted. */
template <typename T> static T *part(char *all, size_t *taken, int64_t n)
{
    T *from = (T *)(all == nullptr ? nullptr : all + *taken);
    *taken += ((size_t)n * sizeof(T) + 255) / 256 * 256;
    return from;
}

/* Entries of a piece's offsets, and of its lengths: pieces begin at multiples of 16 bytes. */
static int64_t piece_entries(int64_t batch)
{
    return (batch + 1 + 3) / 4 * 4;
}

static size_t lay_out(struct cudnn_attention *c, char *all)
{
    struct attention_memory *m = &c->memory;
    const bool backward = c->backward.plan != nullptr, groups = c->h > c->kv;
    const int64_t once = piece_entries(ATTENTION_MAX_SEQUENCES);
    const int64_t entries = 4 * c->t + once; /* as pieces of one sequence take four */
    size_t taken = 0;
    const int64_t gradients = backward ? c->t * c->kv * c->d : 0;
    const int64_t full = backward && groups ? c->t * c->h * c->d : 0;
    m->at_q = part<int64_t>(all, &taken, entries);
    m->at_out = part<int64_t>(all, &taken, entries);
    m->at_stats = part<int64_t>(all, &taken, entries);
    m->at_dkv = part<int64_t>(all, &taken, entries);
    m->length = part<int32_t>(all, &taken, entries);
    m->stats = part<float>(all, &taken, c->t * c->h);
    m->delta = part<float>(all, &taken, backward ? c->t * c->h : 0);
    m->dk = part<bf16>(all, &taken, gradients);
    m->dv = part<bf16>(all, &taken, gradients);
    m->dk_full = part<bf16>(all, &taken, full);
    m->dv_full = part<bf16>(all, &taken, full);
    m->dq_sum = part<float>(all, &taken, backward && c->ways.any_order ? c->t * row_of(c) : 0);
    const size_t most =
        c->forward.bytes > c->backward.bytes ? c->forward.bytes : c->backward.bytes;
    m->plan = part<char>(all, &taken, (int64_t)most);
    return taken;
}

static enum status take_memory(struct cudnn_attention *c)
{
    void *all = nullptr;
    const size_t bytes = lay_out(c, nullptr), plans = c->forward.bytes + c->backward.bytes;
    const size_t planned =
        attention_cudnn_bytes(c->t, c->longest, c->h, c->kv, c->d, c->ways.any_order);
    ASSERT(bytes <= planned + plans, "cuDNN's attention takes %zu bytes, planned were %zu", bytes,
           planned);
    const enum status status = stream_take(c->stream, &all, bytes, "cuDNN's attention");
    if (status != OK) return status;
    c->memory.all = all;
    (void)lay_out(c, (char *)all);
    return OK;
}

/* ---- a call ---- */

#define PREPARE_THREADS 256

/* Where the sequences of every piece begin, in elements of each tensor; surplus ones are empty. */
struct piece_rows {
    const int32_t *seq_start;
    int64_t s, pieces, batch, entries, longest;
    int64_t q, out, stats, dkv; /* elements of a row */
};
static __global__ void offsets_kernel(struct attention_memory m, struct piece_rows p)
{
    const int64_t i = (int64_t)blockIdx.x * PREPARE_THREADS + threadIdx.x;
    if (i >= p.pieces * p.entries) return;
    const int64_t in_piece = i % p.entries, sequence = i / p.entries * p.batch + in_piece;
    if (in_piece > p.batch) return;
    const int64_t start = p.seq_start[sequence < p.s ? sequence : p.s];
    const bool is_one = in_piece < p.batch && sequence < p.s;
    const int64_t length = is_one ? p.seq_start[sequence + 1] - start : 0;
    DEVICE_ASSERT(length <= p.longest);
    m.at_q[i] = start * p.q;
    m.at_out[i] = start * p.out;
    m.at_stats[i] = start * p.stats;
    m.at_dkv[i] = start * p.dkv;
    m.length[i] = (int32_t)length;
}

/* to [columns, rows] = from [rows, columns] */
static __global__ void turn_kernel(float *to, const float *from, int64_t rows, int64_t columns)
{
    const int64_t i = (int64_t)blockIdx.x * PREPARE_THREADS + threadIdx.x;
    if (i < rows * columns) to[i] = from[i % rows * columns + i / rows];
}

/* The columns of k and v of dqkv [T, H + 2 KV, D], 16 bytes a thread. */
static __global__ void fill_kernel(bf16 *dqkv, const bf16 *dk, const bf16 *dv, int64_t t,
                                   int64_t row, int64_t width)
{
    constexpr int wide = WIDTH<bf16>;
    const int64_t i = ((int64_t)blockIdx.x * PREPARE_THREADS + threadIdx.x) * wide;
    if (i >= 2 * t * width) return;
    const int64_t token = i / (2 * width), column = i % (2 * width);
    const bf16 *from = column < width ? dk + token * width + column
                                      : dv + token * width + column - width;
    store_pack(dqkv + (token + 1) * row - 2 * width + column, load_pack<wide>(from));
}

/* Pointers of one execution. */
struct pointer_list {
    int64_t id[32];
    void *at[32];
    int n;
};

static void point(struct pointer_list *list, int64_t id, const void *at)
{
    list->id[list->n] = id;
    list->at[list->n++] = (void *)at;
}

static enum status execute(struct cudnn_attention *c, const struct attention_plan *plan,
                           const struct pointer_list *list)
{
    const struct cudnn_functions *cudnn = &c->cudnn;
    descriptor pack = nullptr;
    cudnnStatus_t error =
        cudnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnn->cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
                                                CUDNN_TYPE_INT64, list->n, list->id);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnn->cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                                CUDNN_TYPE_VOID_PTR, list->n, list->at);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnn->cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                                                CUDNN_TYPE_VOID_PTR, 1, &c->memory.plan);
    if (error == CUDNN_STATUS_SUCCESS) error = cudnn->cudnnBackendFinalize(pack);
    if (error == CUDNN_STATUS_SUCCESS)
        error = cudnn->cudnnBackendExecute(c->handle, plan->plan, pack);
    if (pack != nullptr) (void)cudnn->cudnnBackendDestroyDescriptor(pack);
    return error == CUDNN_STATUS_SUCCESS ? OK : cudnn_failed(c, error, "running it");
}

/* The tensors that both directions read, and of the forward's what it writes. */
static void point_common(struct cudnn_attention *c, struct pointer_list *list, const void *qkv,
                         const void *out, int64_t first)
{
    const struct attention_memory *m = &c->memory;
    const bf16 *q = (const bf16 *)qkv, *k = q + c->h * c->d, *v = k + c->kv * c->d;
    point(list, ID_Q, q);
    point(list, ID_K, k);
    point(list, ID_V, v);
    point(list, ID_OUT, out);
    point(list, ID_STATS, m->stats);
    point(list, ID_LENGTH, m->length + first);
    point(list, ID_AT_Q, m->at_q + first);
    point(list, ID_AT_KV, m->at_q + first);
    point(list, ID_AT_OUT, m->at_out + first);
    point(list, ID_AT_STATS, m->at_stats + first);
    point(list, ID_SCALE, &c->scale);
    point(list, ID_MINUS_INFINITY, &c->minus_infinity);
}

static void point_gradients(struct cudnn_attention *c, struct pointer_list *list, void *dqkv,
                            const void *dout, int64_t first)
{
    const struct attention_memory *m = &c->memory;
    point(list, ID_DOUT, dout);
    point(list, ID_DQ, dqkv);
    point(list, ID_DK, m->dk);
    point(list, ID_DV, m->dv);
    point(list, ID_DELTA, m->delta);
    point(list, ID_AT_DKV, m->at_dkv + first);
    point(list, ID_AT_DQ, m->at_q + first);
    point(list, ID_ONE, &c->one);
    if (c->ways.any_order) point(list, ID_DQ_SUM, m->dq_sum);
    if (c->h == c->kv) return;
    point(list, ID_DK_FULL, m->dk_full);
    point(list, ID_DV_FULL, m->dv_full);
}

/* Says where each sequence is; the pieces that the call is done in. */
static int64_t place_sequences(struct cudnn_attention *c, const struct attention_plan *plan,
                               const struct attention_call *call)
{
    const int64_t pieces = (call->s + plan->batch - 1) / plan->batch;
    const struct piece_rows rows = {.seq_start = call->seq_start, .s = call->s, .pieces = pieces,
                                    .batch = plan->batch, .entries = piece_entries(plan->batch),
                                    .longest = c->longest, .q = row_of(c), .out = c->h * c->d,
                                    .stats = c->h, .dkv = c->kv * c->d};
    c->scale = (float)call->scale;
    LAUNCH(offsets_kernel, dim3(blocks_of(pieces * rows.entries, PREPARE_THREADS)),
           dim3(PREPARE_THREADS), 0, c->stream, c->memory, rows);
    return pieces;
}

static void turn(struct cudnn_attention *c, float *to, const float *from, int64_t rows,
                 int64_t columns)
{
    LAUNCH(turn_kernel, dim3(blocks_of(rows * columns, PREPARE_THREADS)), dim3(PREPARE_THREADS), 0,
           c->stream, to, from, rows, columns);
}

static struct cudnn_attention *state_of(const struct stream *stream)
{
    return (struct cudnn_attention *)stream->cuda->libraries[CUDA_LIBRARY_ATTENTION].state;
}

extern "C" enum status attention_cudnn_forward(void *out, float *lse, const void *qkv,
                                               const struct attention_call *call,
                                               struct stream *stream)
{
    struct cudnn_attention *c = state_of(stream);
    const int64_t pieces = place_sequences(c, &c->forward, call);
    enum status status = launched("attention_forward");
    for (int64_t piece = 0; status == OK && piece < pieces; piece++) {
        struct pointer_list list = {};
        point_common(c, &list, qkv, out, piece * piece_entries(c->forward.batch));
        status = execute(c, &c->forward, &list);
    }
    if (status != OK) return status;
    turn(c, lse, c->memory.stats, call->t, c->h);
    return launched("attention_forward");
}

extern "C" enum status attention_cudnn_backward(void *dqkv, const void *dout, const void *out,
                                                const float *lse, const void *qkv,
                                                const struct attention_call *call,
                                                struct stream *stream)
{
    struct cudnn_attention *c = state_of(stream);
    const struct attention_memory *m = &c->memory;
    const int64_t pieces = place_sequences(c, &c->backward, call);
    const int64_t width = c->kv * c->d;
    turn(c, m->stats, lse, c->h, call->t);
    enum status status = launched("attention_backward");
    for (int64_t piece = 0; status == OK && piece < pieces; piece++) {
        const int64_t first = piece * piece_entries(c->backward.batch);
        struct pointer_list list = {};
        point_common(c, &list, qkv, out, first);
        point_gradients(c, &list, dqkv, dout, first);
        status = execute(c, &c->backward, &list);
    }
    if (status != OK) return status;
    LAUNCH(fill_kernel, dim3(blocks_of(2 * call->t * width, PREPARE_THREADS * WIDTH<bf16>)),
           dim3(PREPARE_THREADS), 0, stream, (bf16 *)dqkv, m->dk, m->dv, call->t, row_of(c),
           width);
    return launched("attention_backward");
}

extern "C" bool attention_cudnn_takes(const struct stream *stream,
                                      const struct attention_call *call, bool backward)
{
    const struct cudnn_attention *c = state_of(stream);
    if (c == nullptr || call->h != c->h || call->kv != c->kv || call->d != c->d) return false;
    if ((backward ? c->ways.backward : c->ways.forward) != ATTENTION_CUDNN) return false;
    ASSERT(call->t <= c->t, "attention of %lld rows, prepared for %lld", (long long)call->t,
           (long long)c->t);
    return true;
}

/* ---- which is faster ---- */

/* Tensors of a measurement. */
struct trial {
    void *all, *qkv, *out, *dout, *dqkv, *workspace;
    float *lse;
    int32_t *seq_start;
    struct attention_call call;
    cudaEvent_t from, to;
};

static enum status start_trial(struct trial *trial, struct cudnn_attention *c)
{
    const int64_t t = c->t, s = (t + c->longest - 1) / c->longest;
    const int64_t width = c->h * c->d;
    size_t taken = 0;
    int32_t *starts = (int32_t *)malloc((size_t)(s + 1) * sizeof *starts);
    if (starts == nullptr) return status_fail(ERR_MEMORY, "no memory to measure attention");
    for (int64_t i = 0; i <= s; i++)
        starts[i] = (int32_t)(i * c->longest < t ? i * c->longest : t);
    enum status status = OK;
    for (int counted = 0; status == OK && counted < 2; counted++) {
        char *all = (char *)trial->all;
        taken = 0;
        trial->qkv = part<bf16>(all, &taken, t * row_of(c));
        trial->dqkv = part<bf16>(all, &taken, t * row_of(c));
        trial->out = part<bf16>(all, &taken, t * width);
        trial->dout = part<bf16>(all, &taken, t * width);
        trial->lse = part<float>(all, &taken, t * c->h);
        trial->workspace = part<float>(all, &taken, t * c->h);
        trial->seq_start = part<int32_t>(all, &taken, s + 1);
        if (counted == 0)
            status = stream_take(c->stream, &trial->all, taken, "measuring attention");
    }
    cudaStream_t handle = cuda_handle(c->stream);
    if (status == OK) (void)cudaMemsetAsync(trial->all, 0x3c, taken, handle);
    if (status == OK)
        status = stream_copy(c->stream, trial->seq_start, starts, (size_t)(s + 1) * sizeof *starts);
    if (status == OK) status = stream_wait(c->stream);
    free(starts);
    trial->call = {trial->seq_start, s, t, c->h, c->kv, c->d, 1 / sqrt((double)c->d)};
    (void)cudaEventCreateWithFlags(&trial->from, cudaEventDefault);
    (void)cudaEventCreateWithFlags(&trial->to, cudaEventDefault);
    return status;
}

/* Middle time of one direction by one of the two; the first round is not counted. */
static enum status time_of(double *ms_out, const struct trial *trial, struct cudnn_attention *c,
                           const struct attention_own *own, bool backward)
{
    double times[ROUNDS];
    for (int round = -1; round < ROUNDS; round++) {
        enum status status = OK;
        float ms = 0;
        (void)cudaEventRecord(trial->from, cuda_handle(c->stream));
        if (own != nullptr && backward)
            status = own->backward(trial->dqkv, trial->dout, trial->out, trial->lse, trial->qkv,
                                   &trial->call, trial->workspace, c->stream);
        else if (own != nullptr)
            status = own->forward(trial->out, trial->lse, trial->qkv, &trial->call, c->stream);
        else if (backward)
            status = attention_cudnn_backward(trial->dqkv, trial->dout, trial->out, trial->lse,
                                              trial->qkv, &trial->call, c->stream);
        else
            status = attention_cudnn_forward(trial->out, trial->lse, trial->qkv, &trial->call,
                                             c->stream);
        (void)cudaEventRecord(trial->to, cuda_handle(c->stream));
        if (status == OK) status = stream_wait(c->stream);
        if (status != OK) return status;
        if (cudaEventElapsedTime(&ms, trial->from, trial->to) != cudaSuccess)
            return status_fail(ERR_UNSUPPORTED, "the GPU cannot tell how long attention took");
        if (round < 0) continue;
        int at = round;
        for (; at > 0 && times[at - 1] > ms; at--) times[at] = times[at - 1];
        times[at] = ms;
    }
    *ms_out = times[ROUNDS / 2];
    return OK;
}

static enum status settle(struct cudnn_attention *c, const struct attention_own *own)
{
    struct trial trial = {};
    enum attention_by *ways[] = {&c->ways.forward, &c->ways.backward};
    if (c->ways.forward != ATTENTION_MEASURED && c->ways.backward != ATTENTION_MEASURED) return OK;
    enum status status = start_trial(&trial, c);
    for (int backward = 0; backward < 2 && status == OK; backward++) {
        double with = 0, without = 0;
        if (*ways[backward] != ATTENTION_MEASURED) continue;
        status = time_of(&with, &trial, c, nullptr, backward == 1);
        if (status == OK) status = time_of(&without, &trial, c, own, backward == 1);
        *ways[backward] = with <= without ? ATTENTION_CUDNN : ATTENTION_OWN;
    }
    if (trial.all != nullptr) stream_give(c->stream, trial.all);
    if (trial.from != nullptr) (void)cudaEventDestroy(trial.from);
    if (trial.to != nullptr) (void)cudaEventDestroy(trial.to);
    return status;
}

/* ---- before the first step ---- */

/* What would be measured stays with this backend's own kernels. */
static void settle_without(struct attention_ways *ways)
{
    if (ways->forward == ATTENTION_MEASURED) ways->forward = ATTENTION_OWN;
    if (ways->backward == ATTENTION_MEASURED) ways->backward = ATTENTION_OWN;
}

static enum status build(struct cudnn_attention *c, const struct attention_own *own)
{
    const int64_t most = ATTENTION_MAX_SEQUENCES, batch = c->t < most ? c->t : most;
    cudnnStatus_t error = c->cudnn.cudnnCreate(&c->handle);
    if (error != CUDNN_STATUS_SUCCESS) return cudnn_failed(c, error, "its start");
    error = c->cudnn.cudnnSetStream(c->handle, cuda_handle(c->stream));
    if (error != CUDNN_STATUS_SUCCESS) return cudnn_failed(c, error, "taking a stream");
    enum status status = OK;
    if (c->ways.forward != ATTENTION_OWN) status = build_plan(c, &c->forward, batch, false);
    if (status == OK && c->ways.backward == ATTENTION_MEASURED && backward_batch(c) == 0)
        c->ways.backward = ATTENTION_OWN;
    if (status == OK && c->ways.backward != ATTENTION_OWN)
        status = build_plan(c, &c->backward, backward_batch(c), true);
    if (status == OK) status = take_memory(c);
    return status == OK ? settle(c, own) : status;
}

extern "C" enum status attention_cudnn_prepare(struct attention_ways *ways,
                                               const struct attention_own *own, int64_t t,
                                               int64_t longest, const struct attention_call *heads,
                                               struct stream *stream)
{
    auto *library = &stream->cuda->libraries[CUDA_LIBRARY_ATTENTION];
    const bool must = ways->forward == ATTENTION_CUDNN || ways->backward == ATTENTION_CUDNN;
    struct cudnn_functions cudnn = {};
    if (library->state != nullptr) library->destroy(library->state);
    library->state = nullptr;
    if (ways->forward == ATTENTION_OWN && ways->backward == ATTENTION_OWN) return OK;
    enum status status = open_library(&cudnn);
    if (status != OK && !must) {
        settle_without(ways);
        return OK;
    }
    if (status != OK) return status;
    struct cudnn_attention *c = (struct cudnn_attention *)calloc(1, sizeof *c);
    if (c == nullptr) return status_fail(ERR_MEMORY, "no memory for cuDNN's attention");
    c->cudnn = cudnn;
    c->stream = stream;
    c->ways = *ways;
    c->t = t;
    c->longest = longest < t ? longest : t;
    c->h = heads->h;
    c->kv = heads->kv;
    c->d = heads->d;
    c->minus_infinity = -INFINITY;
    c->one = 1;
    library->state = c;
    library->destroy = attention_destroy;
    status = build(c, own);
    const bool measured_away = status == OK && ((c->ways.forward == ATTENTION_OWN) !=
                                                    (ways->forward == ATTENTION_OWN) ||
                                                (c->ways.backward == ATTENTION_OWN) !=
                                                    (ways->backward == ATTENTION_OWN));
    *ways = c->ways;
    if (status == OK && !measured_away) return OK;
    attention_destroy(c);
    library->state = nullptr;
    /* Without what was taken for the slower way. */
    return status == OK ? attention_cudnn_prepare(ways, own, t, longest, heads, stream) : status;
}

#else

extern "C" enum status attention_cudnn_prepare(struct attention_ways *ways,
                                               const struct attention_own *, int64_t, int64_t,
                                               const struct attention_call *, struct stream *)
{
    if (ways->forward == ATTENTION_CUDNN || ways->backward == ATTENTION_CUDNN)
        return status_fail(ERR_UNSUPPORTED, "this program was built where cuDNN's headers were "
                                            "missing; install them and rebuild with make CUDA=1, "
                                            "or set train.attention: own");
    ways->forward = ways->backward = ATTENTION_OWN;
    return OK;
}
extern "C" bool attention_cudnn_takes(const struct stream *, const struct attention_call *, bool)
{
    return false;
}
extern "C" enum status attention_cudnn_forward(void *, float *, const void *,
                                               const struct attention_call *, struct stream *)
{
    return status_fail(ERR_UNSUPPORTED, "built without cuDNN");
}
extern "C" enum status attention_cudnn_backward(void *, const void *, const void *, const float *,
                                                const void *, const struct attention_call *,
                                                struct stream *)
{
    return status_fail(ERR_UNSUPPORTED, "built without cuDNN");
}

#endif
