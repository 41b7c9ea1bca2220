// An LSTM, forwards and backwards: one step, all gates of all directions in one pass over memory; or the whole walk over time,
// in which each thread goes through all steps of its own rows, and waits for nobody.
#include <cstdlib>

#include "gates.h"
#include "kernels.h"
#include "product.h"

namespace holdfast::HOLDFAST_LEVEL {
namespace {

constexpr int64_t SMALL = 8192;         // cells of a step; fewer are not worth waking threads for
constexpr int64_t FEW = 1 << 20;        // multiplications of a walk, likewise

inline float *row(const Steps *steps, int64_t direction, int64_t example) {
  return steps->data + direction * steps->direction_stride + example * steps->row_stride;
}

// A (directions, examples, width) block of memory.
struct Block {
  Steps steps;
  int64_t directions, examples, width;

  bool same_layout(const Block &other) const {
    return width == other.width && (directions == 1 || steps.direction_stride == other.steps.direction_stride) &&
           (examples == 1 || steps.row_stride == other.steps.row_stride);
  }
  // True where row `d`, `e` of this block and row 0, 0 of a block of the same layout that starts `shift` behind it share memory.
  bool meets(int64_t shift, int64_t d, int64_t e) const {
    const int64_t distance = shift - d * steps.direction_stride - e * steps.row_stride;
    return -width < distance && distance < width;
  }
};

// True where a row of one block shares memory with a row of the other, or might.
bool overlap(const Block &one, const Block &other) {
  const auto size = [](const Block &block) {
    return (block.directions - 1) * block.steps.direction_stride + (block.examples - 1) * block.steps.row_stride + block.width;
  };
  const int64_t shift = other.steps.data - one.steps.data;  // apart, unless one ends behind the other's beginning
  if (shift >= size(one) || -shift >= size(other)) return false;
  if (!one.same_layout(other)) return true;
  for (int64_t d = 1 - one.directions; d < one.directions; d++)
    for (int64_t e = 1 - one.examples; e < one.examples; e++)
      if (one.meets(shift, d, e)) return true;
  return false;
}

// True where two rows of the block share memory.
bool overlaps_itself(const Block &block) {
  for (int64_t d = 0; d < block.directions; d++)
    for (int64_t e = 1 - block.examples; e < block.examples; e++)
      if ((d != 0 || e > 0) && block.meets(0, d, e)) return true;
  return false;
}

// True where one of the first `written` blocks overlaps itself or any other. The first is the gates', four times as wide.
bool entangled(const Steps *const *all, int count, int written, int64_t directions, int64_t examples, int64_t width) {
  Block blocks[5];
  for (int i = 0; i < count; i++) blocks[i] = {*all[i], directions, examples, i == 0 ? 4 * width : width};
  for (int i = 0; i < written; i++) {
    if (overlaps_itself(blocks[i])) return true;
    for (int j = i + 1; j < count; j++)
      if (overlap(blocks[i], blocks[j])) return true;
  }
  return false;
}

// Sizes of a walk over time, and how it is shared: a share is the rows of one direction that one thread walks with.
struct Walk {
  int64_t directions, steps, examples, width;
  bool turned;
  int32_t threads;

  int64_t share() const {  // rows, a multiple of the height of a tile
    const int64_t parts = (threads + directions - 1) / directions;
    return ((examples + parts - 1) / parts + HEIGHT - 1) / HEIGHT * HEIGHT;
  }
  int64_t parts() const { return (examples + share() - 1) / share(); }
  bool large() const { return directions * steps * examples * width * width > FEW; }
};

struct Share {
  int64_t direction, first, rows;
  bool back;  // from the last position to the first

  Share(const Walk &walk, int64_t unit) {
    direction = unit / walk.parts(), first = unit % walk.parts() * walk.share();
    rows = walk.examples - first < walk.share() ? walk.examples - first : walk.share();
    back = walk.turned && direction > 0;
  }
  // The first row at a step of a buffer that holds `length` steps by position, or by step.
  float *at_position(const Track *track, int64_t step, int64_t length) const { return at_step(track, back ? length - 1 - step : step); }
  float *at_step(const Track *track, int64_t step) const {
    return track->data + direction * track->direction_stride + step * track->position_stride + first * track->row_stride;
  }
};

// Packs the weights of all directions, (4 width, width) each, or their transposes. Null where memory ran out.
float *packed_weights(const float *const *weights, const Walk &walk, bool transposed) {
  const int64_t depth = transposed ? walk.width : 4 * walk.width, width = transposed ? 4 * walk.width : walk.width;
  const int64_t size = packed_size(depth, width), beside = panels(width);
  float *packed = static_cast<float *>(std::malloc(static_cast<size_t>(walk.directions * size) * sizeof(float)));
  if (packed == nullptr) return nullptr;
  const int32_t threads = walk.threads;
  HOLDFAST_PARALLEL(walk.large())
  for (int64_t unit = 0; unit < walk.directions * beside; unit++)
    pack(weights[unit / beside], transposed ? 1 : walk.width, transposed ? walk.width : 1, depth, width, unit % beside, packed + unit / beside * size);
  return packed;
}

void walk_share(const Track *gates, const Track *hidden, const Track *cells, const float *packed, const Walk &walk, const Share &share) {
  const int64_t width = walk.width;
  for (int64_t step = 0; step < walk.steps; step++) {
    float *gate = share.at_position(gates, step, walk.steps), *cell = share.at_step(cells, step), *next_cell = share.at_step(cells, step + 1);
    float *next_hidden = share.at_position(hidden, step + 1, walk.steps + 1);
    const float *before = share.at_position(hidden, step, walk.steps + 1);
    add_product(before, hidden->row_stride, packed, width, 4 * width, gate, gates->row_stride, share.rows);
    for (int64_t e = 0; e < share.rows; e++)
      forward_row(gate + e * gates->row_stride, cell + e * cells->row_stride, next_cell + e * cells->row_stride, next_hidden + e * hidden->row_stride, width);
  }
}

void walk_share_back(const Track *gates, const Track *cells, const Track *hidden_grads, const Steps *cell_grads, const Steps *first_grads,
                     const float *packed, const Walk &walk, const Share &share) {
  const int64_t width = walk.width;
  for (int64_t step = walk.steps - 1; step >= 0; step--) {
    float *gate = share.at_position(gates, step, walk.steps), *cell = share.at_step(cells, step), *next_cell = share.at_step(cells, step + 1);
    const float *hidden_grad = share.at_position(hidden_grads, step, walk.steps);
    for (int64_t e = 0; e < share.rows; e++)
      backward_row(gate + e * gates->row_stride, cell + e * cells->row_stride, next_cell + e * cells->row_stride,
                   hidden_grad + e * hidden_grads->row_stride, row(cell_grads, share.direction, share.first + e), width);
    if (step > 0)
      add_product(gate, gates->row_stride, packed, 4 * width, width, share.at_position(hidden_grads, step - 1, walk.steps), hidden_grads->row_stride,
                  share.rows);
    else if (first_grads->data != nullptr)
      add_product(gate, gates->row_stride, packed, 4 * width, width, row(first_grads, share.direction, share.first), first_grads->row_stride,
                  share.rows);
  }
}

}  // namespace

int32_t lstm_forward_step(const Steps *gates, const Steps *cells, const Steps *next_cells, const Steps *next_hidden, int64_t directions, int64_t examples,
                          int64_t width, int32_t threads) {
  const Steps *all[] = {gates, next_cells, next_hidden, cells};
  if (entangled(all, 4, 3, directions, examples, width)) return 1;
  HOLDFAST_PARALLEL(directions * examples * width > SMALL)
  for (int64_t unit = 0; unit < directions * examples; unit++) {
    const int64_t d = unit / examples, e = unit % examples;
    forward_row(row(gates, d, e), row(cells, d, e), row(next_cells, d, e), row(next_hidden, d, e), width);
  }
  return 0;
}

int32_t lstm_backward_step(const Steps *gates, const Steps *cells, const Steps *next_cells, const Steps *hidden_grads, const Steps *cell_grads,
                           int64_t directions, int64_t examples, int64_t width, int32_t threads) {
  const Steps *all[] = {gates, cell_grads, cells, next_cells, hidden_grads};
  if (entangled(all, 5, 2, directions, examples, width)) return 1;
  HOLDFAST_PARALLEL(directions * examples * width > SMALL)
  for (int64_t unit = 0; unit < directions * examples; unit++) {
    const int64_t d = unit / examples, e = unit % examples;
    backward_row(row(gates, d, e), row(cells, d, e), row(next_cells, d, e), row(hidden_grads, d, e), row(cell_grads, d, e), width);
  }
  return 0;
}

int32_t lstm_walk(const Track *gates, const Track *hidden, const Track *cells, const float *const *weights, int64_t directions, int64_t steps,
                  int64_t examples, int64_t width, int32_t turned, int32_t threads) {
  const Walk walk = {directions, steps, examples, width, turned != 0, threads};
  float *packed = packed_weights(weights, walk, true);
  if (packed == nullptr) return 1;
  const int64_t size = packed_size(width, 4 * width);
  HOLDFAST_PARALLEL(walk.large())
  for (int64_t unit = 0; unit < directions * walk.parts(); unit++) {
    const Share share(walk, unit);
    walk_share(gates, hidden, cells, packed + share.direction * size, walk, share);
  }
  std::free(packed);
  return 0;
}

int32_t lstm_walk_back(const Track *gates, const Track *cells, const Track *hidden_grads, const Steps *cell_grads, const Steps *first_grads,
                       const float *const *weights, int64_t directions, int64_t steps, int64_t examples, int64_t width, int32_t turned,
                       int32_t threads) {
  const Walk walk = {directions, steps, examples, width, turned != 0, threads};
  float *packed = packed_weights(weights, walk, false);
  if (packed == nullptr) return 1;
  const int64_t size = packed_size(4 * width, width);
  HOLDFAST_PARALLEL(walk.large())
  for (int64_t unit = 0; unit < directions * walk.parts(); unit++) {
    const Share share(walk, unit);
    walk_share_back(gates, cells, hidden_grads, cell_grads, first_grads, packed + share.direction * size, walk, share);
  }
  std::free(packed);
  return 0;
}

}  // namespace holdfast::HOLDFAST_LEVEL
