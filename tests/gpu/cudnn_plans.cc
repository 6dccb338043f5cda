/* Asks cuDNN, without a GPU, whether it can compute the graphs of attention_graph.cuh on a GPU that
 * is described to it. It finds graphs that cuDNN does not support; not wrong numbers, which need a
 * GPU. Where there is no driver it comes as far as loading the kernels that it compiled. */
#include "attention_graph.cuh"

#include <cstdlib>

static const char h200[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":6,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"totalGlobalMem\":150109880320,\"smClockRateKHz\":1980000,"
    "\"memClockRateKHz\":3201000,\"l2CacheSize\":62914560,\"cudaDeviceId\":0,\"deviceVer\":900,"
    "\"driverVer\":13000,\"deviceName\":\"NVIDIA H200\"}";

static cudnn_functions functions()
{
    cudnn_functions cudnn = {};
#define LINKED(NAME) cudnn.NAME = ::NAME;
    CUDNN_FUNCTIONS(LINKED)
#undef LINKED
    return cudnn;
}

static descriptor described_device()
{
    descriptor made = nullptr;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &made) ||
        cudnnBackendSetAttribute(made, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                 sizeof h200 - 1, h200) ||
        cudnnBackendFinalize(made))
        return nullptr;
    return made;
}

/* Whether cuDNN has an engine for it. */
static bool is_supported(const cudnn_functions *cudnn, const graph_device *device,
                         const graph_shape &shape, bool backward)
{
    static struct graph g;
    g = {};
    g.cudnn = cudnn;
    if (backward)
        build_backward(&g, shape);
    else
        build_forward(&g, shape);
    const bool made = make_plan(&g, device) != nullptr;
    const bool without_driver = g.error == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER;
    printf("%s, heads %d/%d of %d, %d sequences of %d%s: %s\n", backward ? "backward" : "forward",
           (int)shape.h, (int)shape.kv, (int)shape.d, (int)shape.batch, (int)shape.longest,
           shape.any_order ? ", any order" : "",
           made             ? "a plan"
           : without_driver ? "supported; no driver to load its kernels"
                            : cudnnGetErrorString(g.error));
    graph_release(&g);
    return made || without_driver;
}

int main(void)
{
    const cudnn_functions cudnn = functions();
    const graph_device device = {nullptr, described_device()};
    const int64_t row = 20 * 128;
    const graph_shape shape = {64, 2048, 16, 2, 128, row, row, 2 * 128, false};
    graph_shape fixed = shape, any = shape, odd = shape;
    bool right = true;
    if (device.described == nullptr) {
        printf("cuDNN %zu does not take the description of a GPU\n", cudnnGetVersion());
        return 1;
    }
    printf("cuDNN %zu\n", cudnnGetVersion());
    fixed.batch = 8;
    any.any_order = true;
    odd.d = 100; /* no head of an even number of 16 bytes: what is refused must show */
    right = is_supported(&cudnn, &device, shape, false);
    right = is_supported(&cudnn, &device, fixed, true) && right;
    right = is_supported(&cudnn, &device, any, true) && right;
    right = !is_supported(&cudnn, &device, odd, false) && right;
    return right ? 0 : 1;
}
