/* Between the files of the emulation. */
#ifndef ROBIN_TESTS_EMULATION_PARTS_HH
#define ROBIN_TESTS_EMULATION_PARTS_HH

namespace emulation
{
void open_memory();
void close_memory();
/* Queues `work` as it is. */
void enqueue(cudaStream_t stream, std::function<void()> work);
/* The stream's clock goes on by so much, as events see it. */
void spend(cudaStream_t stream, double ms);
void run_exclusively(const std::function<void()> &work);
} // namespace emulation

#endif
