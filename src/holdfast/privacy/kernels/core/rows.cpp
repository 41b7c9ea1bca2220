// Tables of rows of which a step moves only those that it meets: one table for each model of an ensemble. A thread takes whole models, so
// results do not depend on how many there are.
#include <cmath>
#include <cstring>

#include "kernels.h"

namespace holdfast::HOLDFAST_LEVEL {
namespace {

inline float *at(float *rows, const Table *table, int64_t model, int64_t row) { return rows + (model * table->rows + row) * table->width; }

// The steps since the last one that moved the row, all at once.
inline void catch_up(const Table *table, int64_t model, int64_t row, int32_t last, const Missed *missed) {
  const int64_t place = model * missed->model_stride + last, width = table->width;
  float *__restrict values = at(table->values, table, model, row), *__restrict first = at(table->first, table, model, row);
  const float move = missed->move[place], first_decay = missed->first_decay[place];
  if (table->second == nullptr) {
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
      values[j] -= move * first[j];
      first[j] *= first_decay;
    }
    return;
  }
  float *__restrict second = at(table->second, table, model, row);
  const float floor = missed->floor[place], second_decay = missed->second_decay[place];
#pragma omp simd
  for (int64_t j = 0; j < width; j++) {
    values[j] -= move * first[j] / (sqrtf(second[j]) + floor);
    first[j] *= first_decay;
    second[j] *= second_decay;
  }
}

inline void add(float *__restrict to, const float *__restrict from, float scale, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; j++) to[j] += scale * from[j];
}

inline float marked_share(const uint8_t *marked, int64_t length) {
  int64_t count = 0;
  for (int64_t t = 0; t < length; t++) count += marked[t];
  return 1.0f / static_cast<float>(count);
}

}  // namespace

void rows_meet(const Table *table, const int64_t *ids, int64_t count, int32_t step, const Missed *missed, int32_t *distinct, float *grads,
               int64_t capacity, int32_t *met_counts, int32_t threads) {
  const int64_t width = table->width;
  HOLDFAST_PARALLEL(table->models > 1)
  for (int64_t model = 0; model < table->models; model++) {
    int32_t *met = table->met + model * table->rows, *slot = table->slot + model * table->rows, *last = table->last + model * table->rows;
    int32_t found = met_counts[model];
    for (int64_t i = 0; i < count; i++) {
      const int64_t row = ids[model * count + i];
      if (met[row] == step) continue;
      met[row] = step;
      slot[row] = found;
      std::memset(grads + (model * capacity + found) * width, 0, static_cast<size_t>(width) * sizeof(float));
      distinct[model * capacity + found++] = static_cast<int32_t>(row);
      if (last[row] > 0 && last[row] < step - 1) {
        catch_up(table, model, row, last[row], missed);
        last[row] = step - 1;
      }
    }
    met_counts[model] = found;
  }
}

void rows_mean(const Table *table, const int64_t *ids, const uint8_t *marked, int64_t lists, int64_t length, float *means, int32_t threads) {
  const int64_t width = table->width;
  HOLDFAST_PARALLEL(table->models > 1)
  for (int64_t list = 0; list < table->models * lists; list++) {
    float *mean = means + list * width;
    std::memset(mean, 0, static_cast<size_t>(width) * sizeof(float));
    const uint8_t *mark = marked + list * length;
    const float share = marked_share(mark, length);
    for (int64_t t = 0; t < length; t++)
      if (mark[t]) add(mean, at(table->values, table, list / lists, ids[list * length + t]), 1.0f, width);
    for (int64_t j = 0; j < width; j++) mean[j] *= share;
  }
}

void rows_add(const Table *table, const int64_t *ids, int64_t count, const float *row_grads, int64_t capacity, float *grads, int32_t threads) {
  const int64_t width = table->width;
  HOLDFAST_PARALLEL(table->models > 1)
  for (int64_t model = 0; model < table->models; model++)
    for (int64_t i = model * count; i < (model + 1) * count; i++)
      add(grads + (model * capacity + table->slot[model * table->rows + ids[i]]) * width, row_grads + i * width, 1.0f, width);
}

void rows_mean_add(const Table *table, const int64_t *ids, const uint8_t *marked, int64_t lists, int64_t length, const float *mean_grads,
                   int64_t capacity, float *grads, int32_t threads) {
  const int64_t width = table->width;
  HOLDFAST_PARALLEL(table->models > 1)
  for (int64_t model = 0; model < table->models; model++)
    for (int64_t list = model * lists; list < (model + 1) * lists; list++) {
      const float share = marked_share(marked + list * length, length);
      for (int64_t t = list * length; t < (list + 1) * length; t++)
        if (marked[t]) add(grads + (model * capacity + table->slot[model * table->rows + ids[t]]) * width, mean_grads + list * width, share, width);
    }
}

void rows_move(const Table *table, const int32_t *distinct, int64_t capacity, const int32_t *met_counts, const float *grads, int32_t step,
               const float *rates, float first_decay, float second_decay, float second_scale, float floor, int32_t threads) {
  const int64_t width = table->width;
  HOLDFAST_PARALLEL(table->models > 1)
  for (int64_t model = 0; model < table->models; model++)
    for (int64_t slot = 0; slot < met_counts[model]; slot++) {
      const int64_t row = distinct[model * capacity + slot];
      table->last[model * table->rows + row] = step;
      const float *__restrict grad = grads + (model * capacity + slot) * width;
      float *__restrict values = at(table->values, table, model, row), *__restrict first = at(table->first, table, model, row);
      const float rate = rates[model];
      if (table->second == nullptr) {
#pragma omp simd
        for (int64_t j = 0; j < width; j++) {
          first[j] = first_decay * first[j] + grad[j];
          values[j] -= rate * first[j];
        }
        continue;
      }
      float *__restrict second = at(table->second, table, model, row);
#pragma omp simd
      for (int64_t j = 0; j < width; j++) {
        first[j] += (1.0f - first_decay) * (grad[j] - first[j]);
        second[j] = second_decay * second[j] + (1.0f - second_decay) * grad[j] * grad[j];
        values[j] -= rate * first[j] / (sqrtf(second[j]) * second_scale + floor);
      }
    }
}

}  // namespace holdfast::HOLDFAST_LEVEL
