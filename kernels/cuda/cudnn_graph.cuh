/* cuDNN's backend interface: its functions, opened when first needed, and operation graphs made of
 * its descriptors. What such a graph computes is its maker's (attention_graph.cuh). */
#ifndef ROBIN_KERNELS_CUDA_CUDNN_GRAPH_CUH
#define ROBIN_KERNELS_CUDA_CUDNN_GRAPH_CUH

#ifdef ROBIN_CUDA_EMULATED
#include "emulation/cudnn_emulation.hh"
#else
#include <cudnn.h>
#endif

#include <cstdint>
#include <cstdio>
#include <cstring>

#define CUDNN_FUNCTIONS(DO)                                                                        \
    DO(cudnnCreate)                                                                                \
    DO(cudnnDestroy)                                                                               \
    DO(cudnnSetStream)                                                                             \
    DO(cudnnGetErrorString)                                                                        \
    DO(cudnnBackendCreateDescriptor)                                                               \
    DO(cudnnBackendDestroyDescriptor)                                                              \
    DO(cudnnBackendSetAttribute)                                                                   \
    DO(cudnnBackendGetAttribute)                                                                   \
    DO(cudnnBackendFinalize)                                                                       \
    DO(cudnnBackendExecute)

struct cudnn_functions {
#define FIELD(NAME) decltype(&::NAME) NAME;
    CUDNN_FUNCTIONS(FIELD)
#undef FIELD
};

typedef cudnnBackendDescriptor_t descriptor;

#define MAX_DESCRIPTORS 256
#define MAX_OPERATIONS  64
#define MAX_ENGINES     16
#define FIRST_VIRTUAL   1000 /* the ids below are their makers' */

/* A graph being built; the first failure is kept, and what comes after it does nothing. */
struct graph {
    const cudnn_functions *cudnn;
    descriptor owned[MAX_DESCRIPTORS];
    int n_owned;
    descriptor operations[MAX_OPERATIONS];
    int n_operations;
    int64_t n_virtual;
    cudnnStatus_t error;
    char failed_at[64];
};

static inline bool failed(const graph *g)
{
    return g->error != CUDNN_STATUS_SUCCESS;
}

static void note(graph *g, cudnnStatus_t error, const char *what)
{
    if (error == CUDNN_STATUS_SUCCESS || failed(g)) return;
    g->error = error;
    (void)snprintf(g->failed_at, sizeof g->failed_at, "%s", what);
}

static descriptor make(graph *g, cudnnBackendDescriptorType_t type)
{
    descriptor made = nullptr;
    if (failed(g)) return nullptr;
    if (g->n_owned == MAX_DESCRIPTORS) {
        note(g, CUDNN_STATUS_NOT_SUPPORTED, "the number of descriptors");
        return nullptr;
    }
    note(g, g->cudnn->cudnnBackendCreateDescriptor(type, &made), "making a descriptor");
    g->owned[g->n_owned++] = made;
    return made;
}

static void set(graph *g, descriptor of, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *value)
{
    char what[32];
    if (failed(g)) return;
    (void)snprintf(what, sizeof what, "attribute %d", (int)name);
    note(g, g->cudnn->cudnnBackendSetAttribute(of, name, type, n, value), what);
}

static void set_descriptor(graph *g, descriptor of, cudnnBackendAttributeName_t name,
                           descriptor value)
{
    set(g, of, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void finish(graph *g, descriptor made, const char *what)
{
    if (!failed(g)) note(g, g->cudnn->cudnnBackendFinalize(made), what);
}

static void graph_release(graph *g)
{
    for (int i = g->n_owned - 1; i >= 0; i--)
        if (g->owned[i] != nullptr) (void)g->cudnn->cudnnBackendDestroyDescriptor(g->owned[i]);
    g->n_owned = 0;
}

/* ---- tensors ---- */

struct shape4 {
    int64_t dim[4], stride[4];
};

enum place { REAL, VIRTUAL, BY_VALUE }; /* device memory; within the fused kernel; a host scalar */

static descriptor tensor(graph *g, int64_t id, cudnnDataType_t type, const shape4 &shape,
                         enum place place, descriptor ragged_offset)
{
    const int64_t alignment = 16;
    const bool yes = true;
    descriptor t = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    if (place == VIRTUAL) id = FIRST_VIRTUAL + g->n_virtual++;
    set(g, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(g, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, shape.dim);
    set(g, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, shape.stride);
    set(g, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (place == VIRTUAL)
        set(g, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
    if (place == BY_VALUE)
        set(g, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    if (ragged_offset != nullptr)
        set_descriptor(g, t, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC, ragged_offset);
    finish(g, t, "a tensor");
    return t;
}

static descriptor scalar(graph *g, int64_t id)
{
    return tensor(g, id, CUDNN_DATA_FLOAT, {{1, 1, 1, 1}, {1, 1, 1, 1}}, BY_VALUE, nullptr);
}

/* ---- operations ---- */

static void add_operation(graph *g, descriptor operation, const char *what)
{
    finish(g, operation, what);
    if (g->n_operations == MAX_OPERATIONS) note(g, CUDNN_STATUS_NOT_SUPPORTED, "so many steps");
    if (!failed(g)) g->operations[g->n_operations++] = operation;
}

/* c [M, N] = a [M, K] b [K, N]; m, n, k: every sequence's own M, N, K, or NULL. */
static void matmul(graph *g, descriptor a, descriptor b, descriptor c, descriptor m, descriptor n,
                   descriptor k)
{
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    descriptor kind = make(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    descriptor step = make(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set(g, kind, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    finish(g, kind, "a kind of product");
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_MATMUL_DESC, kind);
    if (m != nullptr)
        set_descriptor(g, step, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, m);
    if (n != nullptr)
        set_descriptor(g, step, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, n);
    if (k != nullptr)
        set_descriptor(g, step, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, k);
    add_operation(g, step, "a product");
}

/* y = mode(x, b), or t ? x : b; axis for GEN_INDEX, else -1. */
static void pointwise(graph *g, cudnnPointwiseMode_t mode, cudnnDataType_t compute, descriptor x,
                      descriptor b, descriptor t, descriptor y, int64_t axis = -1)
{
    descriptor kind = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    descriptor step = make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set(g, kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(g, kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    if (axis >= 0) set(g, kind, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
    finish(g, kind, "a kind of step");
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b != nullptr) set_descriptor(g, step, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    if (t != nullptr) set_descriptor(g, step, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, t);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_operation(g, step, "a step by elements");
}

/* y = sums or maxima of x over the dims that are shorter in y */
static void reduce(graph *g, cudnnReduceTensorOp_t how, descriptor x, descriptor y)
{
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    descriptor kind = make(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    descriptor step = make(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set(g, kind, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &how);
    set(g, kind, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    finish(g, kind, "a kind of reduction");
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_REDUCTION_DESC, kind);
    add_operation(g, step, "a reduction");
}

static void reshape(graph *g, descriptor x, descriptor y)
{
    descriptor step = make(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_descriptor(g, step, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    add_operation(g, step, "a reshape");
}

/* ---- plans ---- */

/* For this GPU, or for a described one that is not here (`described`; tests). */
struct graph_device {
    cudnnHandle_t handle;
    descriptor described;
};

static void try_engine(graph *g, const graph_device *device, descriptor engine,
                       descriptor *plan_out)
{
    descriptor plan = make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (device->handle != nullptr)
        set(g, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &device->handle);
#ifndef ROBIN_CUDA_EMULATED
    else
        set_descriptor(g, plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device->described);
#endif
    set_descriptor(g, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine);
    finish(g, plan, "a plan");
    if (!failed(g)) *plan_out = plan;
}

/* Of the first engine of cuDNN's heuristics that gives one. The graph keeps the error, if none does;
 * what a plan refers to lives as long as the graph. */
static descriptor make_plan(graph *g, const graph_device *device)
{
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    descriptor engines[MAX_ENGINES], plan = nullptr;
    int64_t n = 0;
    descriptor operations = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    descriptor heuristics = make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set(g, operations, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
        g->n_operations, g->operations);
    if (device->handle != nullptr)
        set(g, operations, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
            &device->handle);
    finish(g, operations, "the graph");
    set_descriptor(g, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operations);
    set(g, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
#ifndef ROBIN_CUDA_EMULATED
    if (device->handle == nullptr)
        set_descriptor(g, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device->described);
#endif
    finish(g, heuristics, "the heuristics");
    for (int i = 0; i < MAX_ENGINES; i++) engines[i] = make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!failed(g))
        note(g,
             g->cudnn->cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_ENGINES, &n,
                                                engines),
             "asking for engines");
    if (n == 0) note(g, CUDNN_STATUS_NOT_SUPPORTED, "finding an engine");
    for (int64_t i = 0; i < n && plan == nullptr; i++) {
        if (i > 0) g->error = CUDNN_STATUS_SUCCESS; /* the one before could not: the next may */
        try_engine(g, device, engines[i], &plan);
    }
    return plan;
}

#endif
