// C += A B for few rows of A and C and one B, which is packed once and then used many times: the steps of a recurrent layer.
//
// In an unnamed namespace, for the reason given in vectors.h.
#pragma once
#include <cstring>

#include "vectors.h"

namespace {

#if defined(__AVX512F__)
constexpr int SPAN = 4;  // vectors beside each other in a tile
#else
constexpr int SPAN = 2;
#endif
constexpr int HEIGHT = 6;  // rows of a tile; its HEIGHT x SPAN sums stay in registers
constexpr int64_t COLUMNS = SPAN * WIDTH;
constexpr int64_t DEPTH = 256;  // rows of B that are walked at a time: a panel of DEPTH x COLUMNS stays in the L2 cache

// Adds M rows of A (`depth` columns of them) times a panel to M rows of C, of which `columns` columns are there.
template <int M>
inline void add_tile(const float *a, int64_t a_stride, const float *panel, int64_t depth, float *c, int64_t c_stride, int64_t columns) {
  Floats sums[M][SPAN];
#pragma GCC unroll 6
  for (int r = 0; r < M; r++)
#pragma GCC unroll 4
    for (int v = 0; v < SPAN; v++) sums[r][v] = Floats{};
  for (int64_t k = 0; k < depth; k++, panel += COLUMNS) {
    Floats b[SPAN];
#pragma GCC unroll 4
    for (int v = 0; v < SPAN; v++) b[v] = load(panel + v * WIDTH);
#pragma GCC unroll 6
    for (int r = 0; r < M; r++)
#pragma GCC unroll 4
      for (int v = 0; v < SPAN; v++) sums[r][v] += a[r * a_stride + k] * b[v];
  }
  for (int r = 0; r < M; r++, c += c_stride) {
    float row[COLUMNS];
    std::memcpy(row, sums[r], sizeof row);
    if (columns == COLUMNS)
      for (int64_t j = 0; j < COLUMNS; j++) c[j] += row[j];
    else
      for (int64_t j = 0; j < columns; j++) c[j] += row[j];
  }
}

// How many panels lie beside each other, and how many floats all panels take.
inline int64_t panels(int64_t width) { return (width + COLUMNS - 1) / COLUMNS; }
inline int64_t packed_size(int64_t depth, int64_t width) { return depth * panels(width) * COLUMNS; }

// Packs one panel's columns of B(k, j) = from[k * k_stride + j * j_stride], with zeros behind the last column.
inline void pack(const float *from, int64_t k_stride, int64_t j_stride, int64_t depth, int64_t width, int64_t panel, float *packed) {
  for (int64_t first = 0; first < depth; first += DEPTH) {
    const int64_t part = depth - first < DEPTH ? depth - first : DEPTH;
    float *to = packed + (first * panels(width) + panel * part) * COLUMNS;
    for (int64_t k = first; k < first + part; k++)
      for (int64_t j = panel * COLUMNS; j < (panel + 1) * COLUMNS; j++) *to++ = j < width ? from[k * k_stride + j * j_stride] : 0.0f;
  }
}

// Every row is summed in the same order, however many rows there are.
inline void add_product(const float *a, int64_t a_stride, const float *packed, int64_t depth, int64_t width, float *c, int64_t c_stride, int64_t rows) {
  for (int64_t first = 0; first < depth; first += DEPTH) {
    const int64_t part = depth - first < DEPTH ? depth - first : DEPTH;
    for (int64_t left = 0; left < width; left += COLUMNS, packed += part * COLUMNS) {
      const int64_t columns = width - left < COLUMNS ? width - left : COLUMNS;
      const float *from = a + first;
      float *to = c + left;
      int64_t rest = rows;
      for (; rest >= HEIGHT; rest -= HEIGHT, from += HEIGHT * a_stride, to += HEIGHT * c_stride)
        add_tile<HEIGHT>(from, a_stride, packed, part, to, c_stride, columns);
      if (rest == 5) add_tile<5>(from, a_stride, packed, part, to, c_stride, columns);
      if (rest == 4) add_tile<4>(from, a_stride, packed, part, to, c_stride, columns);
      if (rest == 3) add_tile<3>(from, a_stride, packed, part, to, c_stride, columns);
      if (rest == 2) add_tile<2>(from, a_stride, packed, part, to, c_stride, columns);
      if (rest == 1) add_tile<1>(from, a_stride, packed, part, to, c_stride, columns);
    }
  }
}

}  // namespace
