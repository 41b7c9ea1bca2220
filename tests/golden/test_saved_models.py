"""Models that version 1 of the format wrote open for good, and say what they said.

Each folder was written once by `models.save` and is never written again: a change of the code that cannot read it needs a
new format version, and a reader that still knows this one.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast import models

SAVED = Path(__file__).parent / "saved_models"
TEXT = [["play", "smooth", "jazz"], ["what", "is", "the", "weather", "in", "Cork"], ["stop"]]


@pytest.mark.parametrize("folder", sorted(SAVED.iterdir()), ids=lambda folder: folder.name)
def test_old_models_open_and_give_the_outputs_of_their_day(folder: Path):
    loaded = models.load(folder)
    expected = json.loads((folder / "expected.json").read_text())
    logits = loaded.module(loaded.featuriser.collate(loaded.featuriser.encode(TEXT), np.arange(3)))
    torch.testing.assert_close(logits.sentence_BK, torch.tensor(expected["sentence"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.tokens_BWS[:, 0], torch.tensor(expected["tokens"]), atol=1e-5, rtol=0)
    assert loaded.labels == models.Labels(("ask", "play"), ("O", "B-genre", "B-place", "I-genre", "I-place"))


@pytest.mark.parametrize("folder", sorted(SAVED.iterdir()), ids=lambda folder: folder.name)
def test_saving_an_old_model_again_gives_the_same_bytes(folder: Path, tmp_path: Path):
    loaded = models.load(folder)
    models.save(tmp_path, loaded.module, loaded.settings, loaded.featuriser, loaded.labels)
    for path in folder.glob("*.json"):
        if path.name != "expected.json":
            now, then = (json.loads((place / path.name).read_text()) for place in (tmp_path, folder))
            if "settings" in then:  # settings that came later stand at values that change nothing, as the outputs above show
                now["settings"] = {name: value for name, value in now["settings"].items() if name in then["settings"]}
            assert now == then
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
