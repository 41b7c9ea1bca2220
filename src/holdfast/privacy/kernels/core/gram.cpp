// Squared norms of per-example products by Gram matrices: only the lower triangle, both Grams and their product tile by tile,
// so that memory is a few kilobytes a thread however long the examples are.
#include <cstdlib>

#include "kernels.h"
#include "vectors.h"

namespace holdfast::HOLDFAST_LEVEL {
namespace {

constexpr int64_t TILE = 64;               // rows and columns of a tile of the Gram
constexpr int64_t HEIGHT = WIDTH / 4;      // a block is HEIGHT x 4 entries of the Gram, one vector
constexpr int64_t BLOCKS = TILE * TILE / WIDTH;
constexpr int64_t SLICE = 512;             // columns of the operands that are walked at a time: two tiles' worth stay in the L2 cache
constexpr int SEGMENTS = 16;

struct Problem {
  const Matrix *inputs;
  int64_t input_count;
  const Matrix *grads;
  int64_t grad_count;
  const int64_t *const *ids;
  int64_t id_count, rows;
};

struct Tile {
  int64_t example, row, column;  // first row and first column; the tile lies on the diagonal where they are equal
};

// Adjacent columns of one example of one matrix.
struct Segment {
  const float *data;
  int64_t row_stride, width;
};

// <row t + i, row s + j> over all segments, in lane 4 i + j. Rows beyond the last repeat the last: their lanes mean nothing.
inline __attribute__((always_inline)) Floats block(const Segment *segments, int count, int64_t t, int64_t s, int64_t last) {
  Floats sums[WIDTH];
#pragma GCC unroll 16
  for (int i = 0; i < WIDTH; i++) sums[i] = Floats{};
  for (const Segment *segment = segments; segment != segments + count; segment++) {
    const float *a[HEIGHT], *b[4];
    for (int64_t i = 0; i < HEIGHT; i++) a[i] = segment->data + (t + i < last ? t + i : last) * segment->row_stride;
    for (int64_t j = 0; j < 4; j++) b[j] = segment->data + (s + j < last ? s + j : last) * segment->row_stride;
    int64_t k = 0;
    for (; k + WIDTH <= segment->width; k += WIDTH) {
      const Floats y0 = load(b[0] + k), y1 = load(b[1] + k), y2 = load(b[2] + k), y3 = load(b[3] + k);
#pragma GCC unroll 4
      for (int i = 0; i < HEIGHT; i++) {
        const Floats x = load(a[i] + k);
        sums[4 * i] += x * y0, sums[4 * i + 1] += x * y1, sums[4 * i + 2] += x * y2, sums[4 * i + 3] += x * y3;
      }
    }
    if (k < segment->width) {
      const int rest = static_cast<int>(segment->width - k);
      const Floats y0 = load_part(b[0] + k, rest), y1 = load_part(b[1] + k, rest), y2 = load_part(b[2] + k, rest), y3 = load_part(b[3] + k, rest);
#pragma GCC unroll 4
      for (int i = 0; i < HEIGHT; i++) {
        const Floats x = load_part(a[i] + k, rest);
        sums[4 * i] += x * y0, sums[4 * i + 1] += x * y1, sums[4 * i + 2] += x * y2, sums[4 * i + 3] += x * y3;
      }
    }
  }
  reduce(sums);
  return sums[0];
}

// Calls visit(t, s, index) for each block of the tile that lies on or under the diagonal, always in the same order.
template <class Visit>
inline __attribute__((always_inline)) void each_block(const Tile &tile, int64_t rows, Visit visit) {
  const int64_t bottom = tile.row + TILE < rows ? tile.row + TILE : rows;
  int64_t index = 0;
  for (int64_t t = tile.row; t < bottom; t += HEIGHT) {
    const int64_t diagonal = t / 4 * 4 + 4, right = tile.column + TILE < diagonal ? tile.column + TILE : diagonal;
    for (int64_t s = tile.column; s < right; s += 4) visit(t, s, index++);
  }
}

void add_segments(const Segment *segments, int count, const Tile &tile, int64_t rows, Floats *gram) {
  each_block(tile, rows, [=](int64_t t, int64_t s, int64_t index) { gram[index] += block(segments, count, t, s, rows - 1); });
}

// gram += the tile of the sum of the matrices' Grams. Narrow matrices are walked together, wide ones in slices.
void add_grams(const Matrix *matrices, int64_t count, const Tile &tile, int64_t rows, Floats *gram) {
  Segment segments[SEGMENTS];
  int used = 0;
  int64_t free = SLICE;
  for (const Matrix *matrix = matrices; matrix != matrices + count; matrix++) {
    for (int64_t k = 0; k < matrix->width;) {
      const int64_t width = matrix->width - k < free ? matrix->width - k : free;
      segments[used++] = {matrix->data + tile.example * matrix->example_stride + k, matrix->row_stride, width};
      k += width, free -= width;
      if (free == 0 || used == SEGMENTS) {
        add_segments(segments, used, tile, rows, gram);
        used = 0, free = SLICE;
      }
    }
  }
  if (used) add_segments(segments, used, tile, rows, gram);
}

// In lane 4 i + j, how many of the id lists have the same id at t + i and s + j. Lanes beyond the last row are zero.
inline bool matches(const Problem &problem, int64_t example, int64_t t, int64_t s, Floats &counts) {
  bool any = false;
  for (int64_t k = 0; k < problem.id_count; k++) {
    const int64_t *ids = problem.ids[k] + example * problem.rows;
    for (int64_t i = 0; i < HEIGHT && t + i < problem.rows; i++)
      for (int64_t j = 0; j < 4 && s + j < problem.rows; j++)
        if (ids[t + i] == ids[s + j]) counts[4 * i + j] += 1, any = true;
  }
  return any;
}

// What a tile adds to the norm of its example, and how much of that stands on the diagonal.
struct Total {
  Doubles lanes;
  double diagonal;
};

// Adds the lanes of a block that lie within the matrix; a block under the diagonal stands for its mirror image too.
inline __attribute__((always_inline)) void add_block(const Floats &inputs, const Floats &grads, int64_t t, int64_t s, int64_t rows, Total &total) {
  Doubles product = __builtin_convertvector(inputs, Doubles) * __builtin_convertvector(grads, Doubles);
  if (t + HEIGHT > rows || s + 4 > rows)
    for (int64_t i = 0; i < HEIGHT; i++)
      for (int64_t j = 0; j < 4; j++)
        if (t + i >= rows || s + j >= rows) product[4 * i + j] = 0;
  total.lanes += s + 4 <= t ? product + product : product;
  if (s + 4 > t)
    for (int64_t i = t < s ? s - t : 0; i < HEIGHT && t + i < s + 4; i++) total.diagonal += product[4 * i + t + i - s];
}

double sum_of_lanes(const Doubles &lanes) {
  double sum = 0;
  for (int lane = 0; lane < WIDTH; lane++) sum += lanes[lane];
  return sum;
}

Total product_of_grams(const Problem &problem, const Tile &tile) {
  Floats inputs[BLOCKS], grads[BLOCKS];
  each_block(tile, problem.rows, [&](int64_t t, int64_t s, int64_t index) {
    inputs[index] = grads[index] = Floats{};
    matches(problem, tile.example, t, s, inputs[index]);
  });
  add_grams(problem.inputs, problem.input_count, tile, problem.rows, inputs);
  add_grams(problem.grads, problem.grad_count, tile, problem.rows, grads);
  Total total = {};
  each_block(tile, problem.rows, [&](int64_t t, int64_t s, int64_t index) { add_block(inputs[index], grads[index], t, s, problem.rows, total); });
  return total;
}

// The same without inputs: few ids are equal, so most blocks of the second Gram are not needed.
Total sum_over_matches(const Problem &problem, const Tile &tile) {
  Total total = {};
  each_block(tile, problem.rows, [&](int64_t t, int64_t s, int64_t) {
    Floats counts = {}, gram = {};
    if (!matches(problem, tile.example, t, s, counts)) return;
    for (const Matrix *matrix = problem.grads; matrix != problem.grads + problem.grad_count; matrix++) {
      const Segment whole = {matrix->data + tile.example * matrix->example_stride, matrix->row_stride, matrix->width};
      gram += block(&whole, 1, t, s, problem.rows - 1);
    }
    add_block(counts, gram, t, s, problem.rows, total);
  });
  return total;
}

void sum_rows(const Matrix &matrix, int64_t example, int64_t rows, float *sums) {
  constexpr int64_t STRIP = 8 * WIDTH;
  const float *first = matrix.data + example * matrix.example_stride;
  for (int64_t k = 0; k < matrix.width; k += STRIP) {
    float strip[STRIP] = {};
    const int64_t width = matrix.width - k < STRIP ? matrix.width - k : STRIP;
    if (width == STRIP) {
      for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < STRIP; i++) strip[i] += first[t * matrix.row_stride + k + i];
    } else {
      for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < width; i++) strip[i] += first[t * matrix.row_stride + k + i];
    }
    for (int64_t i = 0; i < width; i++) sums[example * matrix.width + k + i] = strip[i];
  }
}

}  // namespace

int32_t gram_norms(const Matrix *inputs, int64_t input_count, const Matrix *grads, int64_t grad_count, const int64_t *const *ids, int64_t id_count,
                   int64_t examples, int64_t rows, float *const *sums, float *norms, float *diagonals, int32_t threads) {
  const Problem problem = {inputs, input_count, grads, grad_count, ids, id_count, rows};
  const int64_t tiles = (rows + TILE - 1) / TILE, pairs = tiles * (tiles + 1) / 2, units = examples * pairs;
  if (units == 0) return 0;
  struct Part {
    double sum, diagonal;
  };
  Part *parts = static_cast<Part *>(std::malloc(static_cast<size_t>(units) * sizeof(Part)));
  if (parts == nullptr) return 1;
  HOLDFAST_PARALLEL(units > 1)
  for (int64_t unit = 0; unit < units; unit++) {
    const int64_t pair = unit % pairs;
    int64_t row = 0;
    while ((row + 1) * (row + 2) / 2 <= pair) row++;
    const Tile tile = {unit / pairs, row * TILE, (pair - row * (row + 1) / 2) * TILE};
    const Total total = input_count ? product_of_grams(problem, tile) : sum_over_matches(problem, tile);
    parts[unit] = {sum_of_lanes(total.lanes), total.diagonal};
    for (int64_t j = 0; j < grad_count && pair == 0; j++)
      if (sums[j] != nullptr) sum_rows(grads[j], tile.example, rows, sums[j]);
  }
  for (int64_t example = 0; example < examples; example++) {
    Part whole = {0, 0};
    for (int64_t pair = 0; pair < pairs; pair++) {
      whole.sum += parts[example * pairs + pair].sum;
      whole.diagonal += parts[example * pairs + pair].diagonal;
    }
    norms[example] = static_cast<float>(whole.sum);
    diagonals[example] = static_cast<float>(whole.diagonal);
  }
  std::free(parts);
  return 0;
}

}  // namespace holdfast::HOLDFAST_LEVEL
