// The widest vector of floats of the level that a file is compiled for, and the few operations on it that the kernels need.
//
// Everything here lives in an unnamed namespace: an inline function that two levels shared would be merged by the linker, and
// a processor without AVX-512 would then run the AVX-512 copy.
#pragma once
#include <cstdint>
#include <utility>
#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define HOLDFAST_WIDTH 16
#elif defined(__AVX2__)
#define HOLDFAST_WIDTH 8
#else
#define HOLDFAST_WIDTH 4
#endif

namespace {

constexpr int WIDTH = HOLDFAST_WIDTH;
typedef float Floats __attribute__((vector_size(4 * HOLDFAST_WIDTH)));
typedef double Doubles __attribute__((vector_size(8 * HOLDFAST_WIDTH)));
typedef uint32_t Words __attribute__((vector_size(4 * HOLDFAST_WIDTH)));
typedef float Unaligned __attribute__((vector_size(4 * HOLDFAST_WIDTH), aligned(4), may_alias));

inline __attribute__((always_inline)) Floats load(const float *from) { return *reinterpret_cast<const Unaligned *>(from); }

// The first `count` < WIDTH floats, zeros behind them; reads nothing beyond.
inline __attribute__((always_inline)) Floats load_part(const float *from, int count) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), from);
#elif defined(__AVX2__)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return (Floats)_mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes));
#else
  Floats part = {};
  for (int lane = 0; lane < count; lane++) part[lane] = from[lane];
  return part;
#endif
}

#if defined(__clang__) || __GNUC__ >= 12
#define HOLDFAST_SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
typedef int32_t Lanes __attribute__((vector_size(4 * HOLDFAST_WIDTH)));
#define HOLDFAST_SHUFFLE(x, y, ...) __builtin_shuffle(x, y, Lanes{__VA_ARGS__})
#endif

// Lane l of the result: x[l] + x[l ^ STEP] where bit STEP of l is clear, y[l] + y[l ^ STEP] where it is set.
template <int STEP, int... L>
inline __attribute__((always_inline)) Floats fold(Floats x, Floats y, std::integer_sequence<int, L...>) {
  return HOLDFAST_SHUFFLE(x, y, (L & STEP ? L + WIDTH : L)...) + HOLDFAST_SHUFFLE(x, y, (L & STEP ? (L ^ STEP) + WIDTH : L ^ STEP)...);
}

// Sums each of WIDTH vectors over its lanes; lane l of sums[0] becomes the sum of sums[l].
template <int STEP = WIDTH / 2>
inline __attribute__((always_inline)) void reduce(Floats *sums) {
#pragma GCC unroll 8
  for (int i = 0; i < STEP; i++) sums[i] = fold<STEP>(sums[i], sums[i + STEP], std::make_integer_sequence<int, WIDTH>{});
  if constexpr (STEP > 1) reduce<STEP / 2>(sums);
}

}  // namespace
