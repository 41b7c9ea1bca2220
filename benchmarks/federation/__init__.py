"""The parts of the benchmark of federated rounds: cases, engines in processes of their own, selection, populations."""

ROUND_CASES = ("bag-163k", "transformer-0.4M", "cached-head")
SELECT_CASES = ("select-1e4", "select-1e5", "select-1e6", "select-1e7")
POPULATION_CASES = ("population-1e4", "population-1e5", "population-1e6", "population-1e7")
CASE_NAMES = (*ROUND_CASES, *SELECT_CASES, *POPULATION_CASES)
OURS = "holdfast"
ENGINE_NAMES = (OURS, "loop", "pfl", "flower")
PEERS = ("pfl", "flower")
