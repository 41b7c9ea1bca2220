"""WEAT by wefe, with its p-value. Runs in wefe's environment."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from gensim.models import KeyedVectors
from wefe.metrics import WEAT
from wefe.query import Query
from wefe.word_embedding_model import WordEmbeddingModel

from measuring.jobs import Job, Work
from measuring.line import serve


def maker(job: Job) -> Work:
    """One query, as a user of wefe runs it."""
    names = {side: [f"{side}{place}" for place in range(len(job.arrays[side]))] for side in "xyab"}
    vectors = KeyedVectors(vector_size=job.arrays["x"].shape[1])
    vectors.add_vectors([name for side in "xyab" for name in names[side]], np.concatenate([job.arrays[side] for side in "xyab"]))
    model = WordEmbeddingModel(vectors, "drawn")
    query = Query(target_sets=[names["x"], names["y"]], attribute_sets=[names["a"], names["b"]])

    def run() -> dict[str, Any]:
        return WEAT().run_query(query, model, calculate_p_value=True, p_value_iterations=job.amount)

    note = f"{job.amount} iterations, which draw words with replacement; it has no exact test"
    return Work(run=run, values=lambda found: [float(found["weat"])], amount=job.amount, note=note)


if __name__ == "__main__":
    serve(maker, *sys.argv[1:])
