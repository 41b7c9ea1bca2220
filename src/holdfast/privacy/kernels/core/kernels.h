// What the core offers: one table of plain C functions for each level of processor. `../native.py` mirrors these types.
//
// Sizes and strides count elements, never bytes. No kernel allocates across calls, throws, or keeps state, and each
// writes to its outputs alone. `threads` is the caller's budget; results do not depend on it.
#pragma once
#include <cstdint>

#ifdef HOLDFAST_SERIAL
#define HOLDFAST_PARALLEL(condition)
#else
#define HOLDFAST_TEXT(x) #x
#define HOLDFAST_PARALLEL(condition) _Pragma(HOLDFAST_TEXT(omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && (condition))))
#endif

namespace holdfast {

constexpr int32_t ABI = 6;  // raise with every change of a type or a signature in this file, here and in native.py

// Rows t = 0, 1, ... of example e start at data + e * example_stride + t * row_stride; the values of a row lie side by side.
struct Matrix {
  const float *data;
  int64_t width, example_stride, row_stride;
};

// The row of example e in direction d starts at data + d * direction_stride + e * row_stride; its values lie side by side.
struct Steps {
  float *data;
  int64_t direction_stride, row_stride;
};

// The row of example e at position p (or step p) of direction d starts at data + d * direction_stride + p * position_stride + e * row_stride.
struct Track {
  float *data;
  int64_t direction_stride, position_stride, row_stride;
};

// One table of rows for each model of an ensemble, (models, rows, width), of which a step moves only the rows that it meets. Of each row:
// `first` and `second` are the moments, or momentum alone; `last` is the step that moved it last, counted from 1, or 0; `met` the last step
// that met it; `slot` its place among the distinct rows of that step.
struct Table {
  float *values, *first, *second;
  int32_t *last, *met, *slot;
  int64_t models, rows, width;
};

// What a row goes through in steps that did not meet it, by the step that moved it last: with momentum alone values -= move * first; else
// values -= move * first / (sqrt(second) + floor). Then first *= first_decay, second *= second_decay. Each list is `steps` long, of model m at
// list + m * model_stride.
struct Missed {
  const float *move, *floor, *first_decay, *second_decay;
  int64_t model_stride;
};

struct Kernels {
  // norms[e] = sum_{t,s} (sum_i <a_i[t], a_i[s]> + sum_k [ids_k[t] == ids_k[s]]) sum_j <g_j[t], g_j[s]>, and, unless sums[j] is
  // null, sums[j][e] = sum_t g_j[t]. diagonals[e] is that part of norms[e] where t = s. Ids are (examples, rows), packed. Returns 0, or
  // 1 where memory ran out.
  int32_t (*gram_norms)(const Matrix *inputs, int64_t input_count, const Matrix *grads, int64_t grad_count, const int64_t *const *ids,
                        int64_t id_count, int64_t examples, int64_t rows, float *const *sums, float *norms, float *diagonals, int32_t threads);

  // Gradients of y = (x - mean) rstd scale + shift: of x for each row, of scale and shift summed over the rows of each example.
  void (*layer_norm_backward)(const float *x, const float *grad, const float *scale, const float *mean, const float *rstd, int64_t examples,
                              int64_t rows, int64_t width, float *x_grad, float *scale_grads, float *shift_grads, int32_t threads);

  // One step of an LSTM. Rows of gates are 4 * width long, in the order input, forget, cell, output; all other rows are width long.
  // Returns 0; or 1, with nothing done, where something that is written might share memory with anything else.
  // Forward: gates hold pre-activations and become activations; c' = f c + i g, h' = o tanh c'.
  // Backward: gates hold activations and become the gradients of the pre-activations; cell_grads are those of c' and become those of c.
  int32_t (*lstm_forward_step)(const Steps *gates, const Steps *cells, const Steps *next_cells, const Steps *next_hidden, int64_t directions,
                            int64_t examples, int64_t width, int32_t threads);
  int32_t (*lstm_backward_step)(const Steps *gates, const Steps *cells, const Steps *next_cells, const Steps *hidden_grads, const Steps *cell_grads,
                             int64_t directions, int64_t examples, int64_t width, int32_t threads);

  // All steps of an LSTM. Gates and hidden gradients have `steps` positions; hidden states have one more, and cells, by step, too. The second
  // direction starts at the last position where `turned`. Weights are (4 * width, width), packed, one for each direction. Buffers must not
  // share memory. Returns 0, or 1 where memory ran out.
  // Forward: gates hold the input's part of the pre-activations; the states before the first step are there, the others are written.
  // Back: as the single step; hidden_grads become the gradients by all ways, cell_grads those of the first cells; the gradients of the first
  // hidden states are added to first_grads unless its data are null.
  int32_t (*lstm_walk)(const Track *gates, const Track *hidden, const Track *cells, const float *const *weights, int64_t directions, int64_t steps,
                       int64_t examples, int64_t width, int32_t turned, int32_t threads);
  int32_t (*lstm_walk_back)(const Track *gates, const Track *cells, const Track *hidden_grads, const Steps *cell_grads, const Steps *first_grads,
                            const float *const *weights, int64_t directions, int64_t steps, int64_t examples, int64_t width, int32_t turned,
                            int32_t threads);

  // values[i] = (values[i] + deviation * z_i) * scale, with z_i standard normal and a function of key (8 words), nonce and i alone:
  // bit for bit the same at every level. With draws > 1, z_i is the sum of so many over the root of their number: 1 or 4.
  void (*add_noise_float)(float *values, int64_t count, double deviation, double scale, const uint32_t *key, uint64_t nonce, int32_t draws,
                          int32_t threads);
  void (*add_noise_double)(double *values, int64_t count, double deviation, double scale, const uint32_t *key, uint64_t nonce, int32_t draws,
                           int32_t threads);

  // The ChaCha20 key stream (RFC 8439) that the noise is made of: words[16 b + w] is word w of block first + b. The third nonce
  // word is the number of the draw.
  void (*key_stream)(const uint32_t *key, uint64_t nonce, uint32_t draw, uint32_t first, int64_t blocks, uint32_t *words);

  // Rows of tables. Every model has `count` ids, side by side, each in [0, rows). `distinct` is (models, capacity), `met_counts` (models).
  // rows_meet: brings each row that is met for the first time in this step up to date, gives it the next slot, lists it, and zeroes its gradient.
  // rows_mean: means (models * lists, width) over those of `length` ids of each list that are marked; 0 / 0 for none.
  // rows_add: adds the gradients of single rows, (models * count, width), to those of distinct rows, (models, capacity, width).
  // rows_mean_add: likewise those of means.
  // rows_move: moves each distinct row by its gradient. With second null: first = first_decay * first + grad, values -= rate * first. Else Adam:
  // values -= rate * first / (sqrt(second) * second_scale + floor), both moments decayed before. rates is one a model.
  void (*rows_meet)(const Table *table, const int64_t *ids, int64_t count, int32_t step, const Missed *missed, int32_t *distinct, float *grads,
                    int64_t capacity, int32_t *met_counts, int32_t threads);
  void (*rows_mean)(const Table *table, const int64_t *ids, const uint8_t *marked, int64_t lists, int64_t length, float *means, int32_t threads);
  void (*rows_add)(const Table *table, const int64_t *ids, int64_t count, const float *row_grads, int64_t capacity, float *grads, int32_t threads);
  void (*rows_mean_add)(const Table *table, const int64_t *ids, const uint8_t *marked, int64_t lists, int64_t length, const float *mean_grads,
                        int64_t capacity, float *grads, int32_t threads);
  void (*rows_move)(const Table *table, const int32_t *distinct, int64_t capacity, const int32_t *met_counts, const float *grads, int32_t step,
                    const float *rates, float first_decay, float second_decay, float second_scale, float floor, int32_t threads);

  // An LSTM over packed rows: those of step t lie behind those of step t - 1, and the first counts[t] rows of step t - 1 go on in step t, in
  // their order. Counts never grow; each direction has its own `steps` of them. All start from zero states. Buffers are (directions, capacity,
  // 4 * width or width), packed; weights (directions, 4 * width, width). Returns 0, or 1 where memory ran out.
  // Forward: as lstm_walk. Back: gates become the gradients of the pre-activations, zeros behind the last row; hidden_grads those by all ways.
  int32_t (*packed_walk)(float *gates, float *hidden, float *cells, const float *weights, const int32_t *counts, int64_t directions, int64_t steps,
                         int64_t capacity, int64_t width, int32_t threads);
  int32_t (*packed_walk_back)(float *gates, const float *cells, float *hidden_grads, const float *weights, const int32_t *counts, int64_t directions,
                              int64_t steps, int64_t capacity, int64_t width, int32_t threads);

  // to = from * scale, (rows, width), where the hash of an element is at least `threshold`, else 0. Words are two for each row, offsets one
  // for each column. `kept` says which were kept.
  void (*keep_some)(const float *from, float *to, uint8_t *kept, const uint32_t *words, const uint32_t *offsets, int64_t rows, int64_t width,
                    uint32_t threshold, float scale, int32_t threads);
};

}  // namespace holdfast
