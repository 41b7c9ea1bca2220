// One row of an LSTM's gates, forwards and backwards, with the functions that squash them.
//
// In an unnamed namespace, for the reason given in vectors.h.
#pragma once
#include <cstdint>
#include <cstring>

namespace {

// e^x with a relative error below 2e-7: 2^n times a polynomial in the rest. x is held to +-87, NaN stays NaN.
inline float exponential(float x) {
  constexpr float ROUND = 12582912.0f;  // adding 1.5 * 2^23 leaves the nearest integer in the low bits
  x = x < -87.0f ? -87.0f : x;
  x = x > 87.0f ? 87.0f : x;
  const float shifted = x * 1.44269504f + ROUND, n = shifted - ROUND, rest = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * rest + 1.3981999507e-3f;
  p = p * rest + 8.3334519073e-3f;
  p = p * rest + 4.1665795894e-2f;
  p = p * rest + 1.6666665459e-1f;
  p = p * rest + 5.0000001201e-1f;
  p = p * rest * rest + rest + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, 4);
  bits = (bits + 127u) << 23;  // 2^n
  float power;
  std::memcpy(&power, &bits, 4);
  return p * power;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

// Near zero by a polynomial, so that small values keep their relative accuracy (coefficients after Moshier's Cephes).
inline float hyperbolic_tangent(float x) {
  const float square = x * x, size = x < 0 ? -x : x;
  float p = -5.70498872745e-3f;
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const float near = p * square * x + x, far = 1.0f - 2.0f / (exponential(2.0f * size) + 1.0f);
  return size < 0.625f ? near : (x < 0 ? -far : far);
}

inline void forward_row(float *__restrict gates, const float *__restrict cell, float *__restrict next_cell, float *__restrict next_hidden, int64_t width) {
#pragma omp simd
  for (int64_t k = 0; k < width; k++) {
    const float i = sigmoid(gates[k]), f = sigmoid(gates[width + k]), g = hyperbolic_tangent(gates[2 * width + k]), o = sigmoid(gates[3 * width + k]);
    const float c = f * cell[k] + i * g;
    gates[k] = i, gates[width + k] = f, gates[2 * width + k] = g, gates[3 * width + k] = o;
    next_cell[k] = c;
    next_hidden[k] = o * hyperbolic_tangent(c);
  }
}

inline void backward_row(float *__restrict gates, const float *__restrict cell, const float *__restrict next_cell, const float *__restrict hidden_grad,
                         float *__restrict cell_grad, int64_t width) {
#pragma omp simd
  for (int64_t k = 0; k < width; k++) {
    const float i = gates[k], f = gates[width + k], g = gates[2 * width + k], o = gates[3 * width + k];
    const float squashed = hyperbolic_tangent(next_cell[k]), grad = cell_grad[k] + hidden_grad[k] * o * (1.0f - squashed * squashed);
    gates[k] = grad * g * i * (1.0f - i);
    gates[width + k] = grad * cell[k] * f * (1.0f - f);
    gates[2 * width + k] = grad * i * (1.0f - g * g);
    gates[3 * width + k] = hidden_grad[k] * squashed * o * (1.0f - o);
    cell_grad[k] = grad * f;
  }
}

}  // namespace
