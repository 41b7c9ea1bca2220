from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.models import Bag, Labels

SMALL = {"embedding": 6, "hidden": 5}


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    (tmp_path / "vectors.txt").write_text("jazz 1 2 3\nplay 4 5 6\npolka 7 8 9\n")
    return str(tmp_path / "vectors.txt")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 0},
        {"window": 2},
        {"vocabulary": "hashed", "buckets": 7},
        {"vectors": True},
        {"vectors": True, "freeze_vectors": False, "embedding": 0},
        {"vectors": True, "vocabulary": "vectors"},
    ],
)
def test_any_bag_suits_a_private_clipper(options: dict, vectors: str, built, check_contract):
    check_contract(*built(Bag(**(SMALL | options | ({"vectors": vectors} if "vectors" in options else {})))))


@pytest.mark.parametrize("labels", [Labels(("a", "b")), Labels((), ("O", "B-x"))])
def test_a_kind_without_labels_has_no_logits(labels: Labels, built, sentences):
    module, featuriser = built(Bag(**SMALL), labels)
    logits = module(featuriser.collate(featuriser.encode(sentences), np.arange(4)))
    assert (logits.sentence_BK is None) == (not labels.sentence)
    assert (logits.tokens_BWS is None) == (not labels.tokens)


def test_a_sentence_is_its_words_in_any_order(built):
    module, featuriser = built(Bag(**SMALL), Labels(("a", "b")))
    encoded = featuriser.encode([["play", "some", "jazz"], ["jazz", "play", "some"], ["stop", "some", "jazz"]])
    scores = module.eval()(featuriser.collate(encoded, np.arange(3))).sentence_BK
    torch.testing.assert_close(scores[0], scores[1])


def test_a_tag_sees_its_window_and_the_sentence_as_a_mean(built):
    module, featuriser = built(Bag(**SMALL, window=1), Labels((), ("O", "B-x")))
    module.eval().heads.context.weight.data.zero_()
    encoded = featuriser.encode([["play", "some", "jazz", "stop"], ["play", "some", "jazz", "play"]])
    scores = module(featuriser.collate(encoded, np.arange(2))).tokens_BWS
    torch.testing.assert_close(scores[0, :2], scores[1, :2])


def test_the_name_and_what_it_refuses():
    assert models.settings("bag", {"hidden": 9}) == Bag(hidden=9)
    assert Bag().describe()["model"] == "bag"
    refused = [({"embedding": 0}, "there are no vectors"), ({"dropout": 1.0}, "dropout is 1.0"), ({"hidden": 0}, "hidden is 0")]
    for options, message in refused:
        with pytest.raises(InputError, match=message):
            Bag(**options)


def test_a_saved_bag_gives_the_same_scores(tmp_path: Path, built, sentences):
    labels, settings = Labels(("a", "b"), ("O", "B-x")), Bag(**SMALL)
    module, featuriser = built(settings, labels)
    models.save(tmp_path / "saved", module, settings, featuriser, labels)
    loaded = models.load(tmp_path / "saved")
    batch = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    assert torch.equal(loaded.module(batch).sentence_BK, module.eval()(batch).sentence_BK)
