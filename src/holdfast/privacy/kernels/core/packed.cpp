// LSTMs of many models over packed rows, so that no step is walked for a row that has ended; and a dropout of which every element is
// addressed. A thread takes whole directions.
#include <cstdlib>

#include "gates.h"
#include "kernels.h"
#include "product.h"

namespace holdfast::HOLDFAST_LEVEL {
namespace {

// Packs the weights of one direction, (4 width, width), or their transpose. Null where memory ran out.
float *packed_once(const float *weights, int64_t width, bool transposed) {
  const int64_t depth = transposed ? width : 4 * width, across = transposed ? 4 * width : width;
  float *packed = static_cast<float *>(std::malloc(static_cast<size_t>(packed_size(depth, across)) * sizeof(float)));
  if (packed == nullptr) return nullptr;
  for (int64_t panel = 0; panel < panels(across); panel++)
    pack(weights, transposed ? 1 : width, transposed ? width : 1, depth, across, panel, packed);
  return packed;
}

bool walk_one(float *gates, float *hidden, float *cells, const float *weights, const int32_t *counts, int64_t steps, int64_t width) {
  float *packed = packed_once(weights, width, true);
  float *zeros = static_cast<float *>(std::calloc(static_cast<size_t>(width), sizeof(float)));
  if (packed != nullptr && zeros != nullptr) {
    int64_t before = 0, here = 0;
    for (int64_t t = 0; t < steps; before = here, here += counts[t], t++) {
      if (t > 0) add_product(hidden + before * width, width, packed, width, 4 * width, gates + here * 4 * width, 4 * width, counts[t]);
      for (int64_t e = 0; e < counts[t]; e++)
        forward_row(gates + (here + e) * 4 * width, t > 0 ? cells + (before + e) * width : zeros, cells + (here + e) * width, hidden + (here + e) * width, width);
    }
  }
  const bool done = packed != nullptr && zeros != nullptr;
  std::free(packed);
  std::free(zeros);
  return done;
}

bool walk_one_back(float *gates, const float *cells, float *hidden_grads, const float *weights, const int32_t *counts, int64_t steps, int64_t capacity,
                   int64_t width) {
  float *packed = packed_once(weights, width, false);
  const int64_t rows = steps > 0 ? counts[0] : 0;
  float *spare = static_cast<float *>(std::calloc(static_cast<size_t>((rows + 1) * width), sizeof(float)));  // zeros, then cell gradients
  if (packed != nullptr && spare != nullptr) {
    float *zeros = spare, *cell_grads = spare + width;
    int64_t here = 0;
    for (int64_t t = 0; t < steps; t++) here += counts[t];
    std::memset(gates + here * 4 * width, 0, static_cast<size_t>((capacity - here) * 4 * width) * sizeof(float));
    for (int64_t t = steps - 1; t >= 0; t--) {
      here -= counts[t];
      const int64_t before = t > 0 ? here - counts[t - 1] : 0;
      for (int64_t e = 0; e < counts[t]; e++)
        backward_row(gates + (here + e) * 4 * width, t > 0 ? cells + (before + e) * width : zeros, cells + (here + e) * width,
                     hidden_grads + (here + e) * width, cell_grads + e * width, width);
      if (t > 0) add_product(gates + here * 4 * width, 4 * width, packed, 4 * width, width, hidden_grads + before * width, width, counts[t]);
    }
  }
  const bool done = packed != nullptr && spare != nullptr;
  std::free(packed);
  std::free(spare);
  return done;
}

// Mixes 32 bits so that each depends on all (constants after Ettinger's search for low bias).
inline uint32_t mixed(uint32_t x) {
  x ^= x >> 16;
  x *= 0x21f0aaadu;
  x ^= x >> 15;
  x *= 0x735a2d97u;
  return x ^ (x >> 15);
}

}  // namespace

int32_t packed_walk(float *gates, float *hidden, float *cells, const float *weights, const int32_t *counts, int64_t directions, int64_t steps,
                    int64_t capacity, int64_t width, int32_t threads) {
  int32_t failed = 0;
  HOLDFAST_PARALLEL(directions > 1)
  for (int64_t d = 0; d < directions; d++)
    if (!walk_one(gates + d * capacity * 4 * width, hidden + d * capacity * width, cells + d * capacity * width, weights + d * 4 * width * width,
                  counts + d * steps, steps, width))
      __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
  return failed;
}

int32_t packed_walk_back(float *gates, const float *cells, float *hidden_grads, const float *weights, const int32_t *counts, int64_t directions,
                         int64_t steps, int64_t capacity, int64_t width, int32_t threads) {
  int32_t failed = 0;
  HOLDFAST_PARALLEL(directions > 1)
  for (int64_t d = 0; d < directions; d++)
    if (!walk_one_back(gates + d * capacity * 4 * width, cells + d * capacity * width, hidden_grads + d * capacity * width, weights + d * 4 * width * width,
                       counts + d * steps, steps, capacity, width))
      __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
  return failed;
}

void keep_some(const float *from, float *to, uint8_t *kept, const uint32_t *words, const uint32_t *offsets, int64_t rows, int64_t width,
               uint32_t threshold, float scale, int32_t threads) {
  HOLDFAST_PARALLEL(rows * width > 65536)
  for (int64_t row = 0; row < rows; row++) {
    const uint32_t start = words[2 * row], turn = words[2 * row + 1];
    const float *__restrict values = from + row * width;
    float *__restrict out = to + row * width;
    uint8_t *__restrict keep = kept + row * width;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
      const uint32_t bits = mixed((start + offsets[j]) ^ turn);
      keep[j] = bits >= threshold;
      out[j] = bits >= threshold ? values[j] * scale : 0.0f;
    }
  }
}

}  // namespace holdfast::HOLDFAST_LEVEL
