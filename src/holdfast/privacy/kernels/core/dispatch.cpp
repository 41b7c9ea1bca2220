// The four functions that the library shows: its version, its sources, its threads, and the kernels of a level where the
// processor has it. Compiled for the baseline, so it runs anywhere.
#include "kernels.h"

namespace holdfast {
namespace baseline {
extern const Kernels KERNELS;
}
#ifdef HOLDFAST_X86
namespace avx2 {
extern const Kernels KERNELS;
}
namespace avx512 {
extern const Kernels KERNELS;
}
#endif
}  // namespace holdfast

#define HOLDFAST_SHOWN extern "C" __attribute__((visibility("default")))

HOLDFAST_SHOWN int32_t holdfast_abi() { return holdfast::ABI; }

HOLDFAST_SHOWN const char *holdfast_sources() { return HOLDFAST_SOURCES; }

HOLDFAST_SHOWN int32_t holdfast_threaded() {
#ifdef HOLDFAST_SERIAL
  return 0;
#else
  return 1;
#endif
}

// Level 0 is the baseline and always there, 1 is AVX2 with FMA, 2 is AVX-512; null where processor or system lack it.
HOLDFAST_SHOWN const holdfast::Kernels *holdfast_kernels(int32_t level) {
  if (level == 0) return &holdfast::baseline::KERNELS;
#ifdef HOLDFAST_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (level == 1 && avx2) return &holdfast::avx2::KERNELS;
  if (level == 2 && avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return &holdfast::avx512::KERNELS;
#endif
  return nullptr;
}
