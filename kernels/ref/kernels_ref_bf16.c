/* The table "ref-bf16": bf16 tensors, computed by the functions of "ref". */
#include "ref.h"

#define ref_linear_rows ref_linear_forward
#define OVER(entry)     ref_##entry
#include "bf16_operations.h"

const struct kernels kernels_ref_bf16 = BF16_TABLE("ref-bf16");
