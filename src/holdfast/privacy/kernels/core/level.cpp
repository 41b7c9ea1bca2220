// The table of one level; compiled once for each, with that level's flags.
#include "kernels.h"

namespace holdfast::HOLDFAST_LEVEL {

int32_t gram_norms(const Matrix *, int64_t, const Matrix *, int64_t, const int64_t *const *, int64_t, int64_t, int64_t, float *const *, float *, float *, int32_t);
void layer_norm_backward(const float *, const float *, const float *, const float *, const float *, int64_t, int64_t, int64_t, float *, float *, float *,
                         int32_t);
int32_t lstm_forward_step(const Steps *, const Steps *, const Steps *, const Steps *, int64_t, int64_t, int64_t, int32_t);
int32_t lstm_backward_step(const Steps *, const Steps *, const Steps *, const Steps *, const Steps *, int64_t, int64_t, int64_t, int32_t);
int32_t lstm_walk(const Track *, const Track *, const Track *, const float *const *, int64_t, int64_t, int64_t, int64_t, int32_t, int32_t);
int32_t lstm_walk_back(const Track *, const Track *, const Track *, const Steps *, const Steps *, const float *const *, int64_t, int64_t, int64_t, int64_t,
                       int32_t, int32_t);
void add_noise_float(float *, int64_t, double, double, const uint32_t *, uint64_t, int32_t, int32_t);
void add_noise_double(double *, int64_t, double, double, const uint32_t *, uint64_t, int32_t, int32_t);
void key_stream(const uint32_t *, uint64_t, uint32_t, uint32_t, int64_t, uint32_t *);
void rows_meet(const Table *, const int64_t *, int64_t, int32_t, const Missed *, int32_t *, float *, int64_t, int32_t *, int32_t);
void rows_mean(const Table *, const int64_t *, const uint8_t *, int64_t, int64_t, float *, int32_t);
void rows_add(const Table *, const int64_t *, int64_t, const float *, int64_t, float *, int32_t);
void rows_mean_add(const Table *, const int64_t *, const uint8_t *, int64_t, int64_t, const float *, int64_t, float *, int32_t);
void rows_move(const Table *, const int32_t *, int64_t, const int32_t *, const float *, int32_t, const float *, float, float, float, float, int32_t);
int32_t packed_walk(float *, float *, float *, const float *, const int32_t *, int64_t, int64_t, int64_t, int64_t, int32_t);
int32_t packed_walk_back(float *, const float *, float *, const float *, const int32_t *, int64_t, int64_t, int64_t, int64_t, int32_t);
void keep_some(const float *, float *, uint8_t *, const uint32_t *, const uint32_t *, int64_t, int64_t, uint32_t, float, int32_t);

extern const Kernels KERNELS;
const Kernels KERNELS = {
    gram_norms, layer_norm_backward, lstm_forward_step, lstm_backward_step,
    lstm_walk,  lstm_walk_back,      add_noise_float,   add_noise_double,   key_stream,
    rows_meet,  rows_mean,           rows_add,          rows_mean_add,      rows_move,
    packed_walk, packed_walk_back,   keep_some,
};

}  // namespace holdfast::HOLDFAST_LEVEL
