"""Which parameters travel: by word, by what is frozen, by what is kept; and errors that name what there is."""

import json

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.updates import describe, label, trainable, with_lora


class Model(nn.Module):
    """Of the build of the models of the library."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 3)
        self.pretrained = nn.Embedding(10, 2).requires_grad_(False)
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(12))
        self.heads = nn.ModuleDict({"sentence": nn.Linear(3, 2), "words": nn.Linear(3, 4, bias=False)})
        self.heads2 = nn.Linear(1, 1)


ALL = tuple(name for name, _ in Model().named_parameters() if not name.startswith("pretrained"))


def test_all_are_those_that_the_model_has_not_frozen():
    assert trainable(Model(), "all") == trainable(Model()) == ALL


def test_the_heads_alone():
    assert trainable(Model(), "heads") == ("heads.sentence.weight", "heads.sentence.bias", "heads.words.weight")


def test_a_prefix_ends_where_a_part_of_a_name_ends():
    assert trainable(Model(), {"only": ["layers.1"]}) == ("layers.1.weight", "layers.1.bias")
    assert trainable(Model(), {"only": ["layers.1.bias", "words"]}) == ("words.weight", "layers.1.bias")
    frozen = trainable(Model(), {"freeze": ["layers.1", "heads"]})
    assert {*ALL} - {*frozen} == {"layers.1.weight", "layers.1.bias", *trainable(Model(), "heads")}


def test_what_the_model_froze_stays_frozen():
    assert trainable(Model(), {"freeze": ["pretrained", "layers"]}) == trainable(Model(), {"freeze": ["layers"]})
    with pytest.raises(InputError, match="'pretrained' leaves nothing to train"):
        trainable(Model(), {"only": ["pretrained"]})


def test_a_parameter_that_two_layers_share_is_named_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert trainable(model) == ("0.weight", "0.bias", "1.bias")
    assert describe(model)["parameters"] == 8


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("head", "did you mean 'heads'"),
        ({"only": ["layer"]}, "under 'layer'; did you mean 'layers'"),
        ({"only": ["layers.1x.weight"]}, "did you mean 'layers.1"),
        ({"only": ["layers.1.wieght"]}, "did you mean 'layers.1.weight'.*Valid: layers.1.bias, layers.1.weight$"),
        ({"freeze": ["words.weight.more"]}, "no parameter is under 'words.weight.more'"),
        ({"freezes": ["words"]}, "did you mean 'freeze'"),
        ({"freeze": ["words"], "only": ["layers"]}, "2 options"),
        ({}, "0 options"),
        ({"freeze": "words"}, "give a list"),
        ({"freeze": []}, "give a list"),
        ({"freeze": [""]}, "give a list"),
        ({"freeze": ["words", "layers", "heads", "heads2"]}, "leaves nothing to train"),
        ("lora", "leaves nothing to train"),
    ],
)
def test_bad_specs_are_refused(spec, words):
    with pytest.raises(InputError, match=words):
        trainable(Model(), spec)


def test_heads_are_asked_of_a_model_that_has_them():
    with pytest.raises(InputError, match="end in `heads`"):
        trainable(nn.Linear(2, 2), "heads")


def test_the_description_counts_and_is_plain_json():
    found = describe(Model(), {"only": ["heads", "words"]})
    assert found == {"trainable": "heads, words", "parameters": 30 + 8 + 12, "of": 30 + 20 + 144 + 8 + 12 + 2, "tensors": 4}
    assert json.loads(json.dumps(found)) == found
    assert label("all") == "all"
    assert label({"freeze": ["words"]}) == "all but words"


def test_low_rank_pairs_are_named_and_described():
    model = with_lora(Model(), rank=1, alpha=2, targets=["layers"], also=["heads"], streams=Streams.from_seed(1))
    pairs = trainable(model, "lora")
    assert len(pairs) == 24
    assert all(name.endswith((".lora_a", ".lora_b")) for name in pairs)
    assert {*trainable(model)} == {*pairs, *trainable(model, "heads")}
    assert describe(model, "lora")["lora"] == {"rank": 1, "alpha": 2, "train": "both", "layers": 12}
    assert describe(model, "lora")["parameters"] == 12 * 6
    assert torch.is_tensor(model.layers[0].lora_a)
