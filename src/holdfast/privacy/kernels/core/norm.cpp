// The backward pass of layer normalisation: the input gradient and the per-example gradients of scale and shift in one kernel.
#include "kernels.h"

namespace holdfast::HOLDFAST_LEVEL {
namespace {

// One row: adds to the gradients of scale and shift, and writes the gradient of x.
inline void row_backward(const float *__restrict x, const float *__restrict grad, const float *__restrict scale, float mean, float rstd, int64_t width,
                         float *__restrict x_grad, float *__restrict scale_grad, float *__restrict shift_grad) {
  float sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
  for (int64_t k = 0; k < width; k++) {
    const float normal = (x[k] - mean) * rstd, scaled = grad[k] * scale[k];
    shift_grad[k] += grad[k];
    scale_grad[k] += grad[k] * normal;
    sum += scaled;
    dot += scaled * normal;
  }
  sum /= static_cast<float>(width), dot /= static_cast<float>(width);
#pragma omp simd
  for (int64_t k = 0; k < width; k++) x_grad[k] = rstd * (grad[k] * scale[k] - sum - (x[k] - mean) * rstd * dot);
}

}  // namespace

void layer_norm_backward(const float *x, const float *grad, const float *scale, const float *mean, const float *rstd, int64_t examples, int64_t rows,
                         int64_t width, float *x_grad, float *scale_grads, float *shift_grads, int32_t threads) {
  HOLDFAST_PARALLEL(examples > 1 && examples * rows * width > 16384)
  for (int64_t example = 0; example < examples; example++) {
    float *scale_grad = scale_grads + example * width, *shift_grad = shift_grads + example * width;
    for (int64_t k = 0; k < width; k++) scale_grad[k] = shift_grad[k] = 0;
    for (int64_t row = example * rows; row < (example + 1) * rows; row++)
      row_backward(x + row * width, grad + row * width, scale, mean[row], rstd[row], width, x_grad + row * width, scale_grad, shift_grad);
  }
}

}  // namespace holdfast::HOLDFAST_LEVEL
