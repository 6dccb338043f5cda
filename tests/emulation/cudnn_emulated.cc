/* See cudnn_emulation.hh. A graph is computed sequence by sequence: every tensor [H, rows, columns]
 * whole, with NaN in rows that are not the sequence's, which masks and overrides must keep out. As
 * cuDNN 9.19 does without saying so, whatever a graph says:
 *   (a) a real fp32 tensor that a product is summed into is written at the offsets of the first
 *       product's left factor, and read for its conversion at those of the converted;
 *   (b) a real tensor that is summed over groups of heads has the offsets of the sum times the
 *       number of heads of a group. */
#include "emulation/cudnn_emulation.hh"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "emulation/emulation_parts.hh"

namespace
{
struct tensor_info {
    int64_t id, dim[4], stride[4], ragged; /* ragged: id of the offsets, 0: none */
    cudnnDataType_t type;
    bool is_virtual, by_value;
    int64_t group; /* rule (b) */
    int64_t count() const
    {
        return dim[1] * dim[2] * dim[3];
    }
    /* Which of rows and columns are tokens. */
    int tokens() const
    {
        return stride[3] > stride[2] ? 3 : 2;
    }
};

struct operation {
    cudnnBackendDescriptorType_t kind;
    int64_t x, b, t, y, m, n, k; /* ids; 0: none. Of a product x, b and y are its matrices */
    int mode;
    int64_t axis;
};

struct program {
    std::map<int64_t, tensor_info> tensors;
    std::vector<operation> operations;
    int64_t batch, length_id, left_offsets;
    size_t scratch_bytes;
};
} // namespace

struct emulated_cudnn {
    cudaStream_t stream;
};

struct emulated_descriptor {
    cudnnBackendDescriptorType_t type;
    bool finished;
    std::map<int, std::vector<unsigned char>> attributes;
    std::shared_ptr<program> made; /* of plans */
};

/* ---- descriptors ---- */

static size_t bytes_of(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_BOOLEAN: return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    default: return 4;
    }
}

template <typename T>
static bool get(const emulated_descriptor *from, int name, T *values, size_t n = 1)
{
    const auto found = from->attributes.find(name);
    if (found == from->attributes.end() || found->second.size() != n * sizeof(T)) return false;
    std::memcpy(values, found->second.data(), n * sizeof(T));
    return true;
}

static cudnnBackendDescriptor_t link(const emulated_descriptor *from, int name)
{
    cudnnBackendDescriptor_t to = nullptr;
    return get(from, name, &to) ? to : nullptr;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = new emulated_cudnn{};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_BAD_PARAM       ? "CUDNN_STATUS_BAD_PARAM"
           : status == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
                                                  : "CUDNN_STATUS_SUCCESS";
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *descriptor)
{
    *descriptor = new emulated_descriptor{type, false, {}, nullptr};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    delete descriptor;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n,
                                       const void *values)
{
    const unsigned char *from = (const unsigned char *)values;
    if (descriptor->finished || n < 1) return CUDNN_STATUS_BAD_PARAM;
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        for (int64_t i = 0; i < n; i++) {
            const auto other = ((cudnnBackendDescriptor_t const *)values)[i];
            if (other == nullptr || !other->finished) return CUDNN_STATUS_BAD_PARAM;
        }
    descriptor->attributes[name].assign(from, from + (size_t)n * bytes_of(type));
    return CUDNN_STATUS_SUCCESS;
}

/* ---- plans ---- */

static bool is_whole_tensor(const emulated_descriptor *d)
{
    int64_t id = 0, alignment = 0, numbers[4];
    int type = 0;
    return get(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, &id) && id > 0 &&
           get(d, CUDNN_ATTR_TENSOR_DATA_TYPE, &type) &&
           get(d, CUDNN_ATTR_TENSOR_DIMENSIONS, numbers, 4) &&
           get(d, CUDNN_ATTR_TENSOR_STRIDES, numbers, 4) &&
           get(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, &alignment) && alignment == 16;
}

/* The tensor's id; it becomes one of the program's. */
static int64_t add_tensor(program *p, const emulated_descriptor *d)
{
    tensor_info t = {};
    if (d == nullptr) return 0;
    get(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, &t.id);
    get(d, CUDNN_ATTR_TENSOR_DATA_TYPE, &t.type);
    get(d, CUDNN_ATTR_TENSOR_DIMENSIONS, t.dim, 4);
    get(d, CUDNN_ATTR_TENSOR_STRIDES, t.stride, 4);
    get(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, &t.is_virtual);
    get(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, &t.by_value);
    t.ragged = add_tensor(p, link(d, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC));
    t.group = 1;
    p->tensors.emplace(t.id, t);
    return t.id;
}

static bool add_operation(program *p, const emulated_descriptor *d)
{
    operation o = {.kind = d->type, .axis = -1};
    const auto at = [&](int name) { return add_tensor(p, link(d, name)); };
    if (d->type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR) {
        o.x = at(CUDNN_ATTR_OPERATION_MATMUL_ADESC);
        o.b = at(CUDNN_ATTR_OPERATION_MATMUL_BDESC);
        o.y = at(CUDNN_ATTR_OPERATION_MATMUL_CDESC);
        o.m = at(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC);
        o.n = at(CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC);
        o.k = at(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC);
        if (o.b == 0 || link(d, CUDNN_ATTR_OPERATION_MATMUL_DESC) == nullptr) return false;
    } else if (d->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) {
        const auto kind = link(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
        o.x = at(CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
        o.b = at(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        o.t = at(CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
        o.y = at(CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
        if (kind == nullptr || !get(kind, CUDNN_ATTR_POINTWISE_MODE, &o.mode)) return false;
        get(kind, CUDNN_ATTR_POINTWISE_AXIS, &o.axis);
    } else if (d->type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR) {
        const auto kind = link(d, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
        o.x = at(CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
        o.y = at(CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
        if (kind == nullptr || !get(kind, CUDNN_ATTR_REDUCTION_OPERATOR, &o.mode)) return false;
    } else {
        o.x = at(CUDNN_ATTR_OPERATION_RESHAPE_XDESC);
        o.y = at(CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    }
    if (o.x == 0 || o.y == 0) return false;
    p->operations.push_back(o);
    return true;
}

/* What cuDNN's engine was seen to take: dS of all pairs, unless dQ is summed by atomics. */
static size_t scratch_of(const program &p, const tensor_info &scores)
{
    bool backward = false, atomics = false;
    for (const operation &o : p.operations) {
        backward = backward || o.kind == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR;
        atomics = atomics || (o.kind == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR &&
                              o.mode == CUDNN_POINTWISE_IDENTITY);
    }
    const int64_t s = scores.dim[3], rows = (s + 63) / 64 * 64, columns = (s + 127) / 128 * 128;
    return backward && !atomics ? (size_t)(scores.dim[0] * scores.dim[1] * rows * columns) * 2 : 0;
}

static bool compile(emulated_descriptor *plan)
{
    const auto engine = link(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const auto graph = engine != nullptr ? link(engine, EMULATED_GRAPH) : nullptr;
    if (graph == nullptr) return false;
    const auto &bytes = graph->attributes[CUDNN_ATTR_OPERATIONGRAPH_OPS];
    const auto steps = (cudnnBackendDescriptor_t const *)(const void *)bytes.data();
    auto p = std::make_shared<program>();
    for (size_t i = 0; i < bytes.size() / sizeof *steps; i++)
        if (!add_operation(p.get(), steps[i])) return false;
    size_t products = 0;
    while (products < p->operations.size() &&
           p->operations[products].kind != CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR)
        products++;
    if (products == p->operations.size()) return false;
    const operation &first = p->operations[products];
    p->batch = p->tensors.at(first.x).dim[0];
    p->length_id = first.m;
    p->left_offsets = p->tensors.at(first.x).ragged;
    if (first.m == 0 || p->left_offsets == 0) return false;
    for (const operation &o : p->operations) { /* rule (b) */
        tensor_info &x = p->tensors.at(o.x);
        const tensor_info &y = p->tensors.at(o.y);
        if (o.kind == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR && !x.is_virtual)
            x.group = x.dim[1] / y.dim[1];
    }
    p->scratch_bytes = scratch_of(*p, p->tensors.at(first.y));
    plan->made = p;
    return true;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d)
{
    bool whole = true;
    if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) whole = is_whole_tensor(d);
    if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) whole = compile(d);
    d->finished = whole;
    return whole ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const d,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t room, int64_t *n,
                                       void *values)
{
    if (!d->finished || room < 1) return CUDNN_STATUS_BAD_PARAM;
    *n = 1;
    if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        *(int64_t *)values = (int64_t)d->made->scratch_bytes;
        return CUDNN_STATUS_SUCCESS;
    }
    if (name != CUDNN_ATTR_ENGINEHEUR_RESULTS) return CUDNN_STATUS_NOT_SUPPORTED;
    const auto engine = *(cudnnBackendDescriptor_t *)values;
    engine->attributes[EMULATED_GRAPH] = d->attributes[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH];
    engine->finished = true;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- running ---- */

namespace
{
/* One sequence of one execution. */
struct sequence_run {
    const program &p;
    const std::map<int64_t, void *> &pointers;
    const std::map<int64_t, float> &scalars;
    int64_t index, length;
    std::map<int64_t, std::vector<float>> values;

    int64_t offset(const tensor_info &t, int64_t ragged) const
    {
        return ((const int64_t *)pointers.at(ragged))[index] * t.group;
    }
    /* f(element's place in memory, its place in [H, rows, columns], whether it is a token's) */
    template <class F> void each(const tensor_info &t, int64_t ragged, F f) const
    {
        const int64_t from = offset(t, ragged);
        int64_t i = 0;
        for (int64_t h = 0; h < t.dim[1]; h++)
            for (int64_t r = 0; r < t.dim[2]; r++)
                for (int64_t c = 0; c < t.dim[3]; c++, i++)
                    f(from + h * t.stride[1] + r * t.stride[2] + c * t.stride[3], i,
                      (t.tokens() == 3 ? c : r) < length);
    }
    std::vector<float> load(const tensor_info &t, int64_t ragged) const
    {
        std::vector<float> v((size_t)t.count(), NAN);
        const void *memory = pointers.at(t.id);
        each(t, ragged, [&](int64_t at, int64_t i, bool is_token) {
            if (is_token)
                v[(size_t)i] = t.type == CUDNN_DATA_BFLOAT16
                                   ? __bfloat162float(((const __nv_bfloat16 *)memory)[at])
                                   : ((const float *)memory)[at];
        });
        return v;
    }
    void store(const tensor_info &t, int64_t ragged, const std::vector<float> &v) const
    {
        void *memory = pointers.at(t.id);
        each(t, ragged, [&](int64_t at, int64_t i, bool is_token) {
            if (is_token && t.type == CUDNN_DATA_BFLOAT16)
                ((__nv_bfloat16 *)memory)[at] = __float2bfloat16_rn(v[(size_t)i]);
            else if (is_token)
                ((float *)memory)[at] = v[(size_t)i];
        });
    }
    const std::vector<float> &value(int64_t id, int64_t converted_at = 0)
    {
        const tensor_info &t = p.tensors.at(id);
        const auto known = values.find(id);
        if (known != values.end()) return known->second;
        if (t.is_virtual) emulation::fail("a tensor inside cuDNN's graph is read before written");
        if (t.by_value) return values[id] = {scalars.at(id)};
        if (id == p.length_id) return values[id] = {(float)length};
        return values[id] = load(t, converted_at != 0 ? converted_at : t.ragged);
    }
    void keep(int64_t id, std::vector<float> v, bool is_sum = false)
    {
        const tensor_info &t = p.tensors.at(id);
        if (t.is_virtual && t.type == CUDNN_DATA_BFLOAT16)
            for (float &x : v) x = __bfloat162float(__float2bfloat16_rn(x));
        if (t.is_virtual)
            values[id] = std::move(v);
        else
            store(t, is_sum ? p.left_offsets : t.ragged, v);
    }
};
} // namespace

static void multiply(sequence_run *run, const operation &o)
{
    const tensor_info &a = run->p.tensors.at(o.x), &b = run->p.tensors.at(o.b);
    const tensor_info &c = run->p.tensors.at(o.y);
    const int64_t rows = o.m != 0 ? run->length : c.dim[2];
    const int64_t columns = o.n != 0 ? run->length : c.dim[3];
    const int64_t terms = o.k != 0 ? run->length : a.dim[3];
    const std::vector<float> &av = run->value(o.x), &bv = run->value(o.b);
    std::vector<float> out((size_t)c.count());
    for (int64_t h = 0; h < c.dim[1]; h++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < terms; k++) {
                const int64_t shared = h / (c.dim[1] / b.dim[1]);
                const float left = av[(size_t)((h * a.dim[2] + r) * a.dim[3] + k)];
                const float *right = &bv[(size_t)((shared * b.dim[2] + k) * b.dim[3])];
                float *to = &out[(size_t)((h * c.dim[2] + r) * c.dim[3])];
                for (int64_t j = 0; j < columns; j++) to[j] += left * right[j];
            }
    run->keep(o.y, std::move(out), !c.is_virtual && c.type == CUDNN_DATA_FLOAT);
}

static float apply(int mode, float x, float b, float t)
{
    switch (mode) {
    case CUDNN_POINTWISE_ADD: return x + b;
    case CUDNN_POINTWISE_MUL: return x * b;
    case CUDNN_POINTWISE_SUB: return x - b;
    case CUDNN_POINTWISE_DIV: return x / b;
    case CUDNN_POINTWISE_EXP: return std::exp(x);
    case CUDNN_POINTWISE_LOG: return std::log(x);
    case CUDNN_POINTWISE_CMP_LT: return x < b;
    case CUDNN_POINTWISE_CMP_GE: return x >= b;
    case CUDNN_POINTWISE_LOGICAL_AND: return x != 0 && b != 0;
    case CUDNN_POINTWISE_BINARY_SELECT: return t != 0 ? x : b;
    default: return x;
    }
}

static void by_elements(sequence_run *run, const operation &o)
{
    const tensor_info &y = run->p.tensors.at(o.y);
    const bool is_index = o.mode == CUDNN_POINTWISE_GEN_INDEX;
    const int64_t ids[3] = {o.x, o.b, o.t};
    const std::vector<float> *from[3] = {};
    const tensor_info *infos[3] = {};
    for (int i = 0; i < 3; i++) {
        if (ids[i] == 0 || is_index) continue;
        from[i] = &run->value(ids[i], o.mode == CUDNN_POINTWISE_IDENTITY ? y.ragged : 0);
        infos[i] = &run->p.tensors.at(ids[i]);
    }
    std::vector<float> out((size_t)y.count());
    for (int64_t h = 0, i = 0; h < y.dim[1]; h++)
        for (int64_t r = 0; r < y.dim[2]; r++)
            for (int64_t c = 0; c < y.dim[3]; c++, i++) {
                float v[3] = {};
                for (int k = 0; k < 3; k++) {
                    if (from[k] == nullptr) continue;
                    const int64_t *d = infos[k]->dim; /* of one: for all */
                    const int64_t at = ((d[1] > 1 ? h : 0) * d[2] + (d[2] > 1 ? r : 0)) * d[3];
                    v[k] = (*from[k])[(size_t)(at + (d[3] > 1 ? c : 0))];
                }
                out[(size_t)i] = is_index ? (float)(o.axis == 2 ? r : c)
                                          : apply(o.mode, v[0], v[1], v[2]);
            }
    run->keep(o.y, std::move(out));
}

static void reduce(sequence_run *run, const operation &o)
{
    const tensor_info &x = run->p.tensors.at(o.x), &y = run->p.tensors.at(o.y);
    const bool is_max = o.mode == CUDNN_REDUCE_TENSOR_MAX;
    const std::vector<float> &from = run->value(o.x);
    std::vector<float> out((size_t)y.count(), is_max ? -INFINITY : 0.0f);
    for (int64_t h = 0, i = 0; h < x.dim[1]; h++)
        for (int64_t r = 0; r < x.dim[2]; r++)
            for (int64_t c = 0; c < x.dim[3]; c++, i++) {
                const int64_t head = h / (x.dim[1] / y.dim[1]), column = y.dim[3] > 1 ? c : 0;
                float *to = &out[(size_t)((head * y.dim[2] + r) * y.dim[3] + column)];
                *to = is_max ? std::fmax(*to, from[(size_t)i]) : *to + from[(size_t)i];
            }
    run->keep(o.y, std::move(out));
}

/* All reshapes here turn rows into columns. */
static void turn(sequence_run *run, const operation &o)
{
    const tensor_info &x = run->p.tensors.at(o.x), &y = run->p.tensors.at(o.y);
    const std::vector<float> &from = run->value(o.x);
    std::vector<float> out((size_t)y.count());
    if (x.dim[2] != y.dim[3] || x.dim[3] != y.dim[2]) emulation::fail("a reshape that is no turn");
    for (int64_t h = 0, i = 0; h < y.dim[1]; h++)
        for (int64_t r = 0; r < y.dim[2]; r++)
            for (int64_t c = 0; c < y.dim[3]; c++, i++)
                out[(size_t)i] = from[(size_t)((h * x.dim[2] + c) * x.dim[3] + r)];
    run->keep(o.y, std::move(out));
}

static void run_program(const program &p, const std::map<int64_t, void *> &pointers,
                        const std::map<int64_t, float> &scalars, void *scratch)
{
    if (p.scratch_bytes > 0) std::memset(scratch, 0xff, p.scratch_bytes);
    for (int64_t i = 0; i < p.batch; i++) {
        sequence_run run = {p, pointers, scalars, i, 0, {}};
        run.length = ((const int32_t *)pointers.at(p.length_id))[i];
        if (run.length == 0) continue;
        for (const operation &o : p.operations)
            if (o.kind == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR)
                multiply(&run, o);
            else if (o.kind == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
                by_elements(&run, o);
            else if (o.kind == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR)
                reduce(&run, o);
            else
                turn(&run, o);
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack)
{
    const auto &ids = pack->attributes[CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS];
    const auto &places = pack->attributes[CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS];
    std::map<int64_t, void *> pointers;
    std::map<int64_t, float> scalars;
    void *scratch = nullptr;
    get(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &scratch);
    if (ids.size() != places.size()) return CUDNN_STATUS_BAD_PARAM;
    for (size_t i = 0; i < ids.size() / 8; i++)
        pointers[((const int64_t *)ids.data())[i]] = ((void *const *)places.data())[i];
    for (const auto &[id, t] : plan->made->tensors) {
        if (t.is_virtual) continue;
        const auto found = pointers.find(id);
        if (found == pointers.end() || found->second == nullptr) return CUDNN_STATUS_BAD_PARAM;
        if (t.by_value)
            scalars[id] = *(const float *)found->second;
        else if ((uintptr_t)found->second % 16 != 0)
            return CUDNN_STATUS_BAD_PARAM;
    }
    const std::shared_ptr<program> made = plan->made;
    if (made->scratch_bytes > 0 && scratch == nullptr) return CUDNN_STATUS_BAD_PARAM;
    emulation::enqueue_work(handle->stream,
                            [=]() { run_program(*made, pointers, scalars, scratch); });
    return CUDNN_STATUS_SUCCESS;
}
