"""Pretrained encoders, on tiny ones made here, and on the real MiniLM where a real one is the point."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from tests.oracles import tiny_encoders
from tests.oracles.tiny_encoders import saved

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models import Hub
from holdfast.models.hub import PieceFeaturiser


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A tiny encoder as `save_pretrained` writes it; a BERT unless the test asks for another."""
    return saved(tmp_path / "tiny", getattr(request, "param", "bert"))


KINDS = pytest.mark.parametrize("folder", tiny_encoders.KINDS, indirect=True)


@KINDS
@pytest.mark.parametrize("freeze", ["none", "embeddings", "encoder"])
def test_any_encoder_suits_a_private_clipper(folder: Path, freeze: str, built, check_contract):
    check_contract(*built(Hub(name=str(folder), max_length=20, freeze=freeze)))


@KINDS
def test_low_rank_matrices_suit_a_private_clipper(folder: Path, built, check_contract):
    check_contract(*built(Hub(name=str(folder), max_length=20, freeze="encoder", lora_rank=2)))


@KINDS
def test_states_are_those_of_the_encoder_called_plainly(folder: Path, built):
    module, featuriser = built(Hub(name=str(folder), max_length=20))
    features = featuriser.collate(featuriser.encode([["play", "some", "jazz"], ["stop"]]), np.arange(2))
    plain = transformers.AutoModel.from_pretrained(folder).eval()
    seen: list[torch.Tensor] = []
    module.encoder.register_forward_hook(lambda _, inputs, output: seen.append(output.last_hidden_state))
    module(features)
    for row, mask in enumerate(features.mask_BT):
        expected = plain(features.ids_BT[row, mask][None]).last_hidden_state[0]
        torch.testing.assert_close(seen[0][row, mask], expected, atol=1e-5, rtol=1e-4)


@KINDS
@pytest.mark.parametrize(
    "options", [{}, {"freeze": "encoder", "lora_rank": 2}, {"layers": [0, 2]}], ids=["plain", "low-rank", "two layers"]
)
def test_a_saved_model_needs_no_folder_any_more(folder: Path, options: dict, built, labels, sentences, tmp_path: Path):
    settings = Hub(name=str(folder), max_length=20, **options)
    module, featuriser = built(settings)
    with torch.no_grad():
        for parameter in module.parameters():  # low-rank matrices begin as a product of zero, which would hide that they are lost
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    models.save(tmp_path / "saved", module, settings, featuriser, labels)
    folder.rename(tmp_path / "elsewhere")
    loaded = models.load(tmp_path / "saved")
    assert loaded.featuriser == featuriser
    features = featuriser.collate(loaded.featuriser.encode(sentences), np.arange(4))
    was, now = module(features), loaded.module(features)
    for one, other in ((was.sentence_BK, now.sentence_BK), (was.tokens_BWS, now.tokens_BWS)):
        assert torch.equal(one, other)
    assert {path.suffix for path in (tmp_path / "saved").iterdir()} == {".json", ".safetensors"}
    assert str(tmp_path) not in (tmp_path / "saved" / "pieces.json").read_text()


def test_words_are_represented_by_their_first_piece(folder: Path):
    featuriser = Hub(name=str(folder), max_length=20).featuriser([])
    features = featuriser.collate(featuriser.encode([["unbelievably", "\u0000", "Jazz", "stop"], ["what", "is"]]), np.arange(2))
    assert features.ids_BT.tolist() == [[2, 11, 12, 13, 5, 14, 3], [2, 8, 9, 3, 0, 0, 0]]
    assert features.words_BW.tolist() == [[1, 0, 4, 5], [1, 2, 0, 0]]
    assert features.word_mask_BW.tolist() == [[True, False, True, True], [True, True, False, False]]


def test_alignment_agrees_with_the_tokenizer_itself(folder: Path, sentences):
    featuriser = Hub(name=str(folder), max_length=6).featuriser([])
    encoded = featuriser.encode(sentences)
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    for row, words in enumerate(sentences):
        pieces = reference(words, is_split_into_words=True, truncation=True, max_length=6)
        first = [pieces.word_ids().index(word) if word in pieces.word_ids() else -1 for word in range(len(words))]
        assert encoded.pieces[row].tolist() == pieces["input_ids"]
        assert encoded.words[row].tolist() == first


def test_many_sentences_are_cut_in_order(folder: Path):
    featuriser = Hub(name=str(folder), max_length=20).featuriser([])
    encoded = featuriser.encode([["jazz"] * (1 + row % 3) for row in range(2500)])
    assert encoded.words.lengths.tolist() == [1 + row % 3 for row in range(2500)]
    assert encoded.pieces.lengths.tolist() == [3 + row % 3 for row in range(2500)]


def test_the_pretrained_weights_are_taken_over_and_the_heads_are_drawn(folder: Path, built, labels):
    settings = Hub(name=str(folder), max_length=20)
    module, featuriser = built(settings)
    pretrained = transformers.AutoModel.from_pretrained(folder).state_dict()
    assert all(torch.equal(tensor, pretrained[name]) for name, tensor in module.encoder.state_dict().items())
    other = settings.build(featuriser, labels, Streams(2))
    assert not torch.equal(module.heads.sentence.weight, other.heads.sentence.weight)
    assert torch.equal(module.heads.sentence.weight, settings.build(featuriser, labels, Streams(1)).heads.sentence.weight)


def test_what_is_frozen(folder: Path, built):
    trained = {
        freeze: {
            name.partition(".")[0]
            for name, p in built(Hub(name=str(folder), max_length=9, freeze=freeze))[0].named_parameters()
            if p.requires_grad
        }
        for freeze in ("none", "encoder")
    }
    assert trained == {"none": {"encoder", "heads"}, "encoder": {"heads"}}
    module, _ = built(Hub(name=str(folder), max_length=9, freeze="embeddings"))
    assert [name for name, p in module.named_parameters() if not p.requires_grad] == ["encoder.embeddings.word_embeddings.weight"]


def test_low_rank_matrices_begin_as_nothing_and_are_all_that_is_trained_beside_the_heads(folder: Path, built, sentences):
    plain, featuriser = built(Hub(name=str(folder), max_length=20, freeze="encoder"))
    module, _ = built(Hub(name=str(folder), max_length=20, freeze="encoder", lora_rank=2, lora_alpha=4))
    trained = [name for name, p in module.named_parameters() if p.requires_grad and not name.startswith("heads.")]
    assert len(trained) == 2 * 2 * 6  # two matrices, two layers of the encoder, six linear layers in each
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    assert type(module.encoder) is type(plain.encoder)
    features = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    states = [one._states(features) for one in (plain, module)]
    torch.testing.assert_close(*states)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if ".lora_B." in name:
                parameter.fill_(0.5)
    assert not torch.allclose(states[0], module._states(features), atol=1e-2)


@KINDS
def test_heads_see_the_layers_asked_for_end_to_end(folder: Path, built, sentences, check_contract):
    module, featuriser = built(Hub(name=str(folder), max_length=20, layers=(1, 0, 2)))
    check_contract(module, featuriser)
    assert module.heads.words.in_features == module.heads.sentence.in_features == 24
    features = featuriser.collate(featuriser.encode([["play", "some", "jazz"]]), np.arange(1))
    plain = transformers.AutoModel.from_pretrained(folder).eval()
    seen = plain(features.ids_BT, output_hidden_states=True).hidden_states
    torch.testing.assert_close(module._states(features), torch.cat([seen[1], seen[0], seen[2]], -1), atol=1e-5, rtol=1e-4)


def test_layers_that_are_not_there_are_refused(folder: Path):
    with pytest.raises(InputError, match=r"layers is \[1, 3\], but .* has 2; give numbers from 0 to 2"):
        Hub(name=str(folder), max_length=20, layers=(1, 3)).featuriser([])


def test_without_the_package_for_low_rank_matrices_the_extra_is_named(folder: Path, built, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"install holdfast\[lora\]"):
        built(Hub(name=str(folder), max_length=20, freeze="encoder", lora_rank=2))


def test_an_encoder_can_be_trained_without_its_own_dropout(folder: Path, built, sentences):
    with_it, without = (built(Hub(name=str(folder), max_length=20, dropout=0.0, encoder_dropout=flag)) for flag in (True, False))
    features = without[1].collate(without[1].encode(sentences), np.arange(4))
    assert torch.equal(without[0].train()(features).sentence_BK, without[0].eval()(features).sentence_BK)
    assert not torch.equal(with_it[0].train()(features).sentence_BK, with_it[0].eval()(features).sentence_BK)
    assert without[0].train().heads.training


@KINDS
def test_a_frozen_encoder_looks_at_a_data_set_once_and_the_heads_see_the_same(folder: Path, built, sentences):
    module, featuriser = built(Hub(name=str(folder), max_length=20, freeze="encoder"))
    encoded = featuriser.encode([*sentences, ["what", "unbelievably", "jazz"]])
    seen = module.precompute(encoded)
    module.encoder.forward = None  # from here on nobody may ask it
    some = np.array([4, 0, 2, 4])
    got = module(featuriser.collate(seen, some))
    del module.encoder.forward
    want = module(featuriser.collate(encoded, some))
    torch.testing.assert_close(got.sentence_BK, want.sentence_BK, atol=1e-5, rtol=1e-4)
    for row, words in enumerate([3, 3, 1, 3]):
        torch.testing.assert_close(got.tokens_BWS[row, :words], want.tokens_BWS[row, :words], atol=1e-5, rtol=1e-4)
    assert np.array_equal(module.precompute(encoded).states, seen.states)
    assert featuriser.collate(seen, np.empty(0, dtype=np.int64)).states_BTD.shape == (0, 1, 8)


@pytest.mark.parametrize("options", [{}, {"freeze": "embeddings"}, {"freeze": "encoder", "lora_rank": 2}])
def test_an_encoder_that_learns_is_never_looked_up(folder: Path, options: dict, built, sentences):
    module, featuriser = built(Hub(name=str(folder), max_length=20, **options))
    encoded = featuriser.encode(sentences)
    assert module.precompute(encoded) is encoded


def test_too_many_states_are_not_kept(folder: Path, built, sentences, monkeypatch: pytest.MonkeyPatch):
    module, featuriser = built(Hub(name=str(folder), max_length=20, freeze="encoder"))
    encoded = featuriser.encode(sentences)
    monkeypatch.setattr("holdfast.models.transformer.KEPT_STATES", len(encoded.pieces.values) * 8 - 1)
    assert module.precompute(encoded) is encoded


def test_a_frozen_encoder_runs_without_dropout_in_training_too(folder: Path, built, sentences):
    module, featuriser = built(Hub(name=str(folder), max_length=20, freeze="encoder", dropout=0.0))
    features = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    assert torch.equal(module.train()(features).sentence_BK, module.eval()(features).sentence_BK)


def test_pickles_are_refused_and_the_cure_is_named(folder: Path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"as a pickle \(pytorch_model\.bin\).*convert it where you trust it"):
        Hub(name=str(folder)).featuriser([])


def test_folders_that_hold_no_encoder_are_refused(folder: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        Hub(name=str(tmp_path / "empty")).featuriser([])
    transformers.T5Config().save_pretrained(folder)
    with pytest.raises(InputError, match="an encoder with a decoder"):
        Hub(name=str(folder)).featuriser([])
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Hub(name=str(folder)).featuriser([])


def test_weights_that_are_missing_are_not_drawn_at_random(folder: Path, built):
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights of its encoder, such as 'encoder\.layer\.1\.output\.dense\.weight'"):
        built(Hub(name=str(folder), max_length=20))


def test_code_that_comes_with_a_model_is_not_run(folder: Path):
    config = json.loads((folder / "config.json").read_text())
    foreign = {"model_type": "their-own", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config | foreign))
    (folder / "code.py").write_text("raise SystemExit('their code was run')")
    with pytest.raises(InputError, match="cannot be read"):
        Hub(name=str(folder)).featuriser([])


def test_more_pieces_than_positions_are_refused(folder: Path):
    with pytest.raises(InputError, match=r"max_length is 41, but .* has 40 positions"):
        Hub(name=str(folder), max_length=41).featuriser([])


def test_a_name_that_is_not_here_is_not_fetched_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"'nobody/nothing' is neither a folder nor in the local Hugging Face cache; .* set download to true"
    ):
        Hub(name="nobody/nothing").featuriser([])


def test_a_name_is_found_in_the_cache_without_a_network(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built):
    kept = tmp_path / "cache" / "models--somebody--tiny"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("c0ffee")
    (kept / "snapshots").mkdir()
    folder.rename(kept / "snapshots" / "c0ffee")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    module, featuriser = built(Hub(name="somebody/tiny", max_length=20))
    assert featuriser.encode([["jazz"]]).pieces.values.tolist() == [2, 5, 3]
    assert sum(parameter.numel() for parameter in module.parameters()) > 1000
    assert Hub(name="somebody/tiny").describe()["name"] == "somebody/tiny"
    with pytest.raises(InputError, match="neither a folder nor in the local Hugging Face cache"):
        Hub(name="somebody/tiny", revision="v2").featuriser([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "name is empty"),
        ({"name": "x", "freeze": "head"}, "freeze is 'head'"),
        ({"name": "x", "max_length": 2}, "max_length is 2"),
        ({"name": "x", "lora_rank": -1}, "lora_rank is -1"),
        ({"name": "x", "lora_rank": 8}, "lora_rank is 8 and freeze is 'none'.* set freeze to 'encoder'"),
        ({"name": "x", "freeze": "encoder", "lora_rank": 8, "lora_alpha": 0}, "lora_alpha is 0"),
        ({"name": "x", "layers": [2, -1]}, "layers is -1"),
        ({"name": "x", "encoder_dropout": 0.1}, "encoder_dropout is 0.1"),
        ({"name": "x", "dropout": -1}, "dropout is -1"),
        ({"name": "x", "download": "yes"}, "download is 'yes'"),
    ],
)
def test_settings_out_of_bounds_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        Hub(**options)


def test_the_description_tells_the_folder_by_hash_and_not_by_place(folder: Path):
    described = Hub(name=str(folder)).describe()
    assert described["name"] == "tiny"
    assert len(described["sha256"]) == 64
    assert str(folder.parent) not in str(described)
    folder.rename(folder.with_name("gone"))
    assert Hub(name=str(folder)).describe() == described | {"sha256": None}


def test_minilm_comes_with_an_extra(monkeypatch: pytest.MonkeyPatch):
    featuriser = models.settings("hub:minilm").featuriser([])
    assert isinstance(featuriser, PieceFeaturiser)
    assert featuriser.vocabulary_is_public
    assert featuriser.describe()["ids"] == 30_522
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"install holdfast\[minilm\]"):
        models.settings("hub:minilm").featuriser([])


@pytest.mark.slow
def test_minilm_knows_what_is_alike(built):
    module, featuriser = built(Hub(name="minilm"))
    texts = ["play some jazz music", "put on a saxophone record", "will it rain in Cork tomorrow"]
    features = featuriser.collate(featuriser.encode([text.split() for text in texts]), np.arange(3))
    pooled: list[torch.Tensor] = []
    module.heads.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0]))
    module(features)
    music, record, rain = torch.nn.functional.normalize(pooled[0])
    assert music @ record > 0.4 > 0.2 > music @ rain
