import json
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast import models
from holdfast.core.errors import InputError, RunError
from holdfast.models import BiLSTM, Hub, Labels, Transformer

SMALL = {
    "bilstm": BiLSTM(embedding=6, hidden=5, characters=4, character_width=3),
    "hashed": BiLSTM(embedding=6, hidden=5, characters=0, vocabulary="hashed", buckets=9),
    "transformer": Transformer(width=8, layers=1, heads=2, feedforward=12),
}


@pytest.fixture
def saved(tmp_path: Path, built, labels) -> Path:
    models.save(tmp_path / "saved", *_parts(built, SMALL["bilstm"]), labels)
    return tmp_path / "saved"


def _parts(built, settings):
    module, featuriser = built(settings)
    return module, settings, featuriser


def test_settings_by_name():
    assert models.settings("bilstm") == BiLSTM()
    assert models.settings("bilstm", {"hidden": 9}) == BiLSTM(hidden=9)
    assert models.settings("transformer", {}) == Transformer()
    assert models.settings("hub:some/name", {"freeze": "encoder"}) == Hub(name="some/name", freeze="encoder")
    assert models.settings("hub:C:/odd") == Hub(name="C:/odd")


def test_settings_that_are_there_can_be_changed():
    assert models.settings(BiLSTM(layers=2), {"hidden": 9}) == BiLSTM(layers=2, hidden=9)
    assert models.settings(BiLSTM(layers=2)) == BiLSTM(layers=2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bilsm", {}, "unknown model 'bilsm'; did you mean 'bilstm'"),
        ("bilstm:small", {}, "only 'hub' takes something behind a colon"),
        ("hub", {}, "name is empty"),
        ("bilstm", {"embeding": 3}, "unknown option 'embeding'; did you mean 'embedding'"),
        (BiLSTM(), {"kind": "x"}, "unknown option 'kind'"),
        ("transformer", {"width": 9}, "not a multiple"),
    ],
)
def test_unknown_names_and_options_are_refused(name: str, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        models.settings(name, options)


@pytest.mark.parametrize("name", SMALL)
def test_a_loaded_model_gives_identical_outputs(name: str, built, labels, sentences, tmp_path: Path):
    module, settings, featuriser = _parts(built, SMALL[name])
    models.save(tmp_path / "a" / "b", module, settings, featuriser, labels)
    loaded = models.load(tmp_path / "a" / "b")
    assert (loaded.settings, loaded.featuriser, loaded.labels) == (settings, featuriser, labels)
    assert not loaded.module.training
    features = loaded.featuriser.collate(loaded.featuriser.encode(sentences), np.arange(4))
    assert torch.equal(loaded.module(features).sentence_BK, module(features).sentence_BK)
    assert torch.equal(loaded.module(features).tokens_BWS, module(features).tokens_BWS)
    assert {path.suffix for path in (tmp_path / "a" / "b").iterdir()} == {".json", ".safetensors"}


def test_loading_needs_no_file_of_vectors(built, labels, sentences, tmp_path: Path):
    path = tmp_path / "vectors.txt"
    path.write_text("jazz 1 2\npolka 3 4\n")
    module, settings, featuriser = _parts(built, BiLSTM(embedding=3, hidden=4, characters=0, vectors=str(path)))
    models.save(tmp_path / "saved", module, settings, featuriser, labels)
    path.unlink()
    loaded = models.load(tmp_path / "saved")
    assert torch.equal(loaded.module.words.pretrained.weight, module.words.pretrained.weight)
    assert not loaded.module.words.pretrained.weight.requires_grad
    assert loaded.settings.describe()["vectors"] == {"file": "vectors.txt", "sha256": None}


def test_a_saved_model_keeps_which_parameters_are_frozen(built, labels, tmp_path: Path):
    path = tmp_path / "vectors.txt"
    path.write_text("jazz 1 2\n")
    for freeze in (True, False):
        parts = _parts(built, BiLSTM(embedding=3, hidden=4, characters=0, vectors=str(path), freeze_vectors=freeze))
        models.save(tmp_path / "saved", *parts, labels)
        assert models.load(tmp_path / "saved").module.words.pretrained.weight.requires_grad == (not freeze)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "words.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "nonsense"])
def test_a_damaged_folder_is_refused(name: str, damage: str, saved: Path):
    path = saved / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40] if damage == "cut" else b'{"format": "other"}')
    with pytest.raises(RunError, match=r"cannot be read|not a model of format version"):
        models.load(saved)


def test_a_later_format_is_left_to_a_later_version(saved: Path):
    document = json.loads((saved / "model.json").read_text())
    (saved / "model.json").write_text(json.dumps(document | {"format_version": 2}))
    with pytest.raises(RunError, match="not a model of format version 1"):
        models.load(saved)


def test_weights_of_other_settings_are_refused(saved: Path):
    document = json.loads((saved / "model.json").read_text())
    document["settings"]["hidden"] = 6
    (saved / "model.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match="not those of the settings"):
        models.load(saved)


def test_a_pickle_in_place_of_weights_is_not_opened(saved: Path):
    torch.save({"words.trained.weight": torch.zeros(2)}, saved / "model.safetensors")
    with pytest.raises(RunError, match="cannot be read"):
        models.load(saved)


def test_settings_of_another_kind_are_not_saved(built, labels, tmp_path: Path):
    class Strange:
        kind = "strange"

    module, _, featuriser = _parts(built, SMALL["bilstm"])
    with pytest.raises(InputError, match="unknown model 'strange'"):
        models.save(tmp_path / "saved", module, Strange(), featuriser, labels)
    assert not (tmp_path / "saved").exists()


def test_the_description_counts_parameters(built):
    settings = BiLSTM(embedding=2, hidden=3, characters=0)
    module, featuriser = built(settings, Labels(("a", "b")))
    described = models.describe(module, settings, featuriser, Labels(("a", "b")))
    words = 2 * (9 + 1)  # eight words lower-cased to "some" and the like, and the unknown one
    lstm = 2 * (4 * 3 * (2 + 3) + 2 * 4 * 3)
    head = 2 * (4 * 3) + 2
    assert described["parameters"] == {"trainable": words + lstm + head, "frozen": 0}
    assert described["labels"] == {"sentence": 2, "tokens": 0}
    assert json.loads(json.dumps(described)) == described


def test_public_names_are_there_and_unknown_ones_are_not():
    assert set(models.__all__) <= set(dir(models))
    assert all(getattr(models, name) is not None for name in models.__all__)
    with pytest.raises(AttributeError, match="no attribute 'BiLTSM'"):
        _ = models.BiLTSM
