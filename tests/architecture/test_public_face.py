"""Pins the names that `import holdfast` shows: a change here is a change for every user, and belongs in the changelog."""

import subprocess
import sys

import holdfast

PUBLIC = {
    *("Curve", "DataSplits", "Dataset", "Estimate", "Evidence", "FittedModel", "HoldfastError", "PrivacyClaim", "RunRecord"),
    *("TrainingSettings", "Verdict", "load_data", "read_plan", "run_study", "train", "write_report"),
    *("audit", "data", "fairness", "federated", "models", "privacy", "tasks"),
}


def test_shows_these_names_and_no_other():
    shown = "import holdfast; print(*(name for name in dir(holdfast) if not name.startswith('_')))"
    fresh = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)  # other tests import submodules
    assert set(fresh.stdout.split()) == PUBLIC
    assert set(getattr(holdfast, "__all__", ())) == PUBLIC


def test_every_name_leads_somewhere():
    for name in PUBLIC:
        assert getattr(holdfast, name) is not None
