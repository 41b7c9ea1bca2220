"""The parts of the benchmark of fairness: cases, engines in processes of their own, known answers, worlds whose truth is known."""

CASE_NAMES = ("weat-exact-12870", "weat-1e6", "rates-bootstrap", "auc-bootstrap", "crows-pairs")
OURS = "holdfast"
PEERS = ("wefe", "fairlearn")
ENGINE_NAMES = (OURS, "loop", *PEERS)
