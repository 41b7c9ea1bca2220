// Gaussian noise: ChaCha20 in counter mode (RFC 8439), Box and Muller's transform in double precision.
//
// Every value is a function of key, nonce and its own position, by IEEE operations in a fixed order and without fused
// roundings: the same bits for any number of threads, at any level, and in the twin in torch (`../portable_noise.py`).
#include <cstring>

#include "kernels.h"
#include "vectors.h"

namespace holdfast::HOLDFAST_LEVEL {
namespace {

constexpr int64_t LANES = 16;           // blocks of a group; block l of it fills lane l, whatever the width of a vector
constexpr int64_t GROUP = 8 * LANES;    // values of a group: two words each
constexpr int64_t UNIT = 64 * GROUP;    // values that a thread takes at a time
constexpr int64_t PAIRS = 4;            // pairs of values of a block: one radius and one angle of 64 bits each

inline Words rotated(Words x, int bits) { return (x << bits) | (x >> (32 - bits)); }

inline __attribute__((always_inline)) void quarter_round(Words &a, Words &b, Words &c, Words &d) {
  a += b, d = rotated(d ^ a, 16);
  c += d, b = rotated(b ^ c, 12);
  a += b, d = rotated(d ^ a, 8);
  c += d, b = rotated(b ^ c, 7);
}

// words[w][l] = word w of block first + l.
inline void group_words(const uint32_t *key, uint64_t nonce, uint32_t draw, uint32_t first, uint32_t words[16][LANES]) {
  constexpr uint32_t SIGMA[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (int64_t lane = 0; lane < LANES; lane += WIDTH) {
    Words start[16], x[16], counters = {};
    for (int i = 0; i < 4; i++) start[i] = Words{} + SIGMA[i];
    for (int i = 0; i < 8; i++) start[4 + i] = Words{} + key[i];
    for (int l = 0; l < WIDTH; l++) counters[l] = first + static_cast<uint32_t>(lane + l);
    start[12] = counters;
    start[13] = Words{} + static_cast<uint32_t>(nonce), start[14] = Words{} + static_cast<uint32_t>(nonce >> 32), start[15] = Words{} + draw;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) x[i] = start[i];
    for (int round = 0; round < 20; round += 2) {
      quarter_round(x[0], x[4], x[8], x[12]), quarter_round(x[1], x[5], x[9], x[13]);
      quarter_round(x[2], x[6], x[10], x[14]), quarter_round(x[3], x[7], x[11], x[15]);
      quarter_round(x[0], x[5], x[10], x[15]), quarter_round(x[1], x[6], x[11], x[12]);
      quarter_round(x[2], x[7], x[8], x[13]), quarter_round(x[3], x[4], x[9], x[14]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      x[i] += start[i];
      std::memcpy(&words[i][lane], &x[i], sizeof(Words));
    }
  }
}

inline double as_double(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, 8);
  return value;
}

inline uint64_t as_bits(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  return bits;
}

// A word as a double, by way of a signed conversion, which every processor has.
inline double as_number(uint32_t word) { return static_cast<double>(static_cast<int32_t>(word ^ 0x80000000u)) + 2147483648.0; }

// ln(x / 2^64) for x in [0.5, 2^64] to within one unit in the last place (method and coefficients of fdlibm's e_log.c).
inline double log_of_fraction(double x) {
  constexpr uint64_t ROOT_HALF = 0x3fe6a09e00000000u, ONE = 0x3ff0000000000000u, MANTISSA = 0x000fffffffffffffu;
  const uint64_t bits = as_bits(x) + (ONE - ROOT_HALF);                                  // x = 2^k (1 + f), with 1 + f from sqrt(1/2) to sqrt(2)
  const double k = as_double((bits >> 52) | 0x4330000000000000u) - (4503599627370496.0 + 1023.0 + 64.0);
  const double f = as_double((bits & MANTISSA) + ROOT_HALF) - 1.0;
  const double half = 0.5 * f * f, s = f / (2.0 + f), z = s * s, w = z * z;
  const double odd = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double even = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  return ((s * (half + (even + odd)) + k * 1.90821492927058770002e-10) - half) + f + k * 6.93147180369123816490e-01;
}

// Sine and cosine for |x| <= pi/4 to within one unit in the last place (coefficients of fdlibm's k_sin.c and k_cos.c).
inline double sine(double x) {
  const double z = x * x, w = z * z;
  const double r = (8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * 2.75573137070700676789e-06)) +
                   z * w * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10);
  return x + z * x * (-1.66666666666666324348e-01 + z * r);
}

inline double cosine(double x) {
  const double z = x * x, w = z * z, half = 0.5 * z, one = 1.0 - half;
  const double r = z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * 2.48015872894767294178e-05)) +
                   w * w * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11));
  return one + (((1.0 - one) - half) + z * r);
}

// Adds the standard normals of the group that begins at block `first`: 2 * LANES of each pair of words after the other.
inline void add_normals(const uint32_t *key, uint64_t nonce, uint32_t draw, uint32_t first, double *normals) {
  constexpr double TWO_32 = 4294967296.0, QUARTER_TURN = 1.57079632679489655800e+00 / 4611686018427387904.0;  // pi/2 in 2^62 parts
  uint32_t words[16][LANES];
  group_words(key, nonce, draw, first, words);
  for (int64_t pair = 0; pair < PAIRS; pair++) {
    const uint32_t *w = words[4 * pair];
    double *z = normals + 2 * LANES * pair;
#pragma omp simd
    for (int64_t l = 0; l < LANES; l++) {
      const double radius = __builtin_sqrt(-2.0 * log_of_fraction(as_number(w[l]) * TWO_32 + (as_number(w[LANES + l]) + 0.5)));
      // 62 bits choose an angle between -pi/4 and pi/4; one of the other two mirrors it at the diagonal, one turns it by pi.
      const uint32_t high = w[2 * LANES + l];
      const double angle = ((as_number(high & 0x3fffffffu) - 536870912.0) * TWO_32 + (as_number(w[3 * LANES + l]) + 0.5)) * QUARTER_TURN;
      const double along = radius * cosine(angle), across = radius * sine(angle);
      const double x = high & 0x40000000u ? across : along, y = high & 0x40000000u ? along : across;
      z[l] += high & 0x80000000u ? -x : x;
      z[LANES + l] += high & 0x80000000u ? -y : y;
    }
  }
}

template <class Value>
void add_noise(Value *values, int64_t count, double deviation, double scale, const uint32_t *key, uint64_t nonce, int32_t draws, int32_t threads) {
  const double share = draws == 4 ? 0.5 : 1.0;
  HOLDFAST_PARALLEL(count > UNIT)
  for (int64_t unit = 0; unit < (count + UNIT - 1) / UNIT; unit++) {
    const int64_t end = (unit + 1) * UNIT < count ? (unit + 1) * UNIT : count;
    for (int64_t begin = unit * UNIT; begin < end; begin += GROUP) {
      double normals[GROUP] = {};
      for (int32_t draw = 0; draw < draws; draw++)
        add_normals(key, nonce, static_cast<uint32_t>(draw), static_cast<uint32_t>(begin / GROUP * LANES), normals);
      const int64_t size = end - begin < GROUP ? end - begin : GROUP;
      Value *out = values + begin;
      for (int64_t i = 0; i < size; i++) out[i] = static_cast<Value>((static_cast<double>(out[i]) + deviation * (share * normals[i])) * scale);
    }
  }
}

}  // namespace

void add_noise_float(float *values, int64_t count, double deviation, double scale, const uint32_t *key, uint64_t nonce, int32_t draws, int32_t threads) {
  add_noise(values, count, deviation, scale, key, nonce, draws, threads);
}

void add_noise_double(double *values, int64_t count, double deviation, double scale, const uint32_t *key, uint64_t nonce, int32_t draws,
                      int32_t threads) {
  add_noise(values, count, deviation, scale, key, nonce, draws, threads);
}

void key_stream(const uint32_t *key, uint64_t nonce, uint32_t draw, uint32_t first, int64_t blocks, uint32_t *words) {
  uint32_t group[16][LANES];
  for (int64_t begin = 0; begin < blocks; begin += LANES) {
    group_words(key, nonce, draw, first + static_cast<uint32_t>(begin), group);
    for (int64_t l = 0; l < LANES && begin + l < blocks; l++)
      for (int64_t w = 0; w < 16; w++) words[16 * (begin + l) + w] = group[w][l];
  }
}

}  // namespace holdfast::HOLDFAST_LEVEL
