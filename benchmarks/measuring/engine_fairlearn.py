"""Rates of groups with bootstrap intervals by Fairlearn. Runs in Fairlearn's environment."""

from __future__ import annotations

import sys

import numpy as np
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

from measuring.jobs import Job, Work
from measuring.line import serve

METRICS = {"selection_rate": selection_rate, "true_positive_rate": true_positive_rate, "false_positive_rate": false_positive_rate}


def maker(job: Job) -> Work:
    """One `MetricFrame`, which makes its table once from the data and once from each replicate."""
    group, y_true, y_pred = job.arrays["group"], job.arrays["y_true"].astype(int), job.arrays["y_pred"].astype(int)

    def run() -> MetricFrame:
        return MetricFrame(
            metrics=METRICS,
            y_true=y_true,
            y_pred=y_pred,
            sensitive_features=group,
            n_boot=job.amount,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        )

    def values(frame: MetricFrame) -> np.ndarray:
        return frame.by_group[list(METRICS)].to_numpy(dtype=float).T

    note = f"{job.amount} replicates and the table itself, which is counted as one more"
    return Work(run=run, values=values, amount=job.amount + 1, note=note)


if __name__ == "__main__":
    serve(maker, *sys.argv[1:])
