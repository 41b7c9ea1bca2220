"""The parts of the benchmarks of private steps: cases, engines, a float64 reference, timing in rounds, peak memory."""

CASE_NAMES = ("bert-T32", "bert-T128", "distilbert-T32", "gpt2-tied-T128", "bilstm-T16", "lora-T32")
UNIT = "plain"
OURS = ("holdfast-flat", "holdfast-flat-noise", "holdfast-micro-batch")
OTHERS = ("opacus-hooks", "opacus-ghost", "loop", "vmap")
ENGINE_NAMES = (UNIT, *OURS, *OTHERS)
