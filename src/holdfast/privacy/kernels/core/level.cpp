// The table of one level; compiled once for each, with that level's flags.
#include "kernels.h"

namespace holdfast::HOLDFAST_LEVEL {

int32_t gram_norms(const Matrix *, int64_t, const Matrix *, int64_t, const int64_t *const *, int64_t, int64_t, int64_t, float *const *, float *, int32_t);
void layer_norm_backward(const float *, const float *, const float *, const float *, const float *, int64_t, int64_t, int64_t, float *, float *, float *,
                         int32_t);

extern const Kernels KERNELS;
const Kernels KERNELS = {gram_norms, layer_norm_backward};

}  // namespace holdfast::HOLDFAST_LEVEL
