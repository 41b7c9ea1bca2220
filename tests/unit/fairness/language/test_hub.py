"""Models of `transformers`, tiny ones with random weights, against slow twins that ask one by one without padding."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from tests.oracles import slow_language, tiny_language_models

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.language import (
    CausalAccess,
    EncodingAccess,
    GeneratingAccess,
    HubCausal,
    HubEncoder,
    HubMasked,
    Masked,
    MaskedAccess,
    open_access,
    sampling,
    scoring,
)
from holdfast.fairness.language.sampling import first_words

TEXTS = [
    "The doctor's said that she was unbelievably late.",
    "he",
    "  the nurse, Ünal  was early ",
    "xyz",
    "the doctor said that he is late",
]
KINDS = {"bert": HubMasked, "roberta": HubMasked, "gpt2": HubCausal, "bert-encoder": HubEncoder, "gpt2-encoder": HubEncoder}
EVERY = pytest.mark.parametrize("kind", KINDS)
MASKED = pytest.mark.parametrize("kind", ["bert", "roberta"])


def parts(text: str, pieces: Any) -> list[str]:
    return [text[start:end] if start >= 0 else "*" for start, end in zip(pieces.starts, pieces.ends, strict=True)]


@EVERY
def test_the_kind_is_read_off_the_configuration(kind: str, hub: dict[str, Any], folders: dict[str, Path]):
    access = hub[kind]
    assert type(access) is KINDS[kind]
    assert isinstance(access, EncodingAccess)
    assert isinstance(access, MaskedAccess) == (type(access) is HubMasked)
    assert isinstance(access, CausalAccess) == isinstance(access, GeneratingAccess) == (type(access) is HubCausal)
    assert access.name == f"hub:{folders[kind].name}", "where a folder lies is nobody's business"
    assert access.model.dtype == torch.float32
    assert not access.model.training
    assert access.longest == 40
    assert type(open_access(f"hub:{folders[kind]}")) is KINDS[kind]


def test_pieces_are_where_their_letters_are(hub: dict[str, Any]):
    text = " The doctor's  unbelievably,  é "
    want = {
        "bert": ["*", "The", "doctor", "'", "s", "unbeliev", "ably", ",", "é", "*"],
        "roberta": ["*", "T", "T", "h", "e", "doctor", "'", "s", "u", "unbeliev", "a", "b", "l", "y", ",", "é", "é", "é", "é", "", "*"],
    }
    for kind, expected in want.items():
        pieces = hub[kind].pieces([text, "he"])[0]
        assert parts(text, pieces) == expected
        assert (pieces.ends >= pieces.starts).all()
        assert not pieces.cut
    gpt2 = hub["gpt2"].pieces([text])[0]
    assert parts(text, gpt2)[:-1] == want["roberta"][1:-2]
    assert not gpt2.special.any()
    assert [text[start:end] for start, end in [(5, 11), (15, 27)]] == ["doctor", "unbelievably"]
    assert gpt2.within(15, 27).tolist() == list(range(7, 13)), "the blank before it too"


@MASKED
def test_a_word_in_its_sentence_has_the_pieces_of_the_sentence(kind: str, hub: dict[str, Any]):
    """RoBERTa's trap: " doctor" behind a blank is one piece, "doctor" alone is six. Spans must give the former."""
    access = hub[kind]
    text = "the doctor said"
    inside = access.pieces([text])[0]
    word = inside.ids[inside.within(4, 10)]
    alone = access.pieces(["doctor"])[0]
    assert len(word) == 1
    assert int((~alone.special).sum()) == (6 if kind == "roberta" else 1)
    found = access.masked([Masked(inside.ids, inside.within(4, 10), inside.within(4, 10))])[0]
    shown = text[:4].rstrip() + access.tokenizer.mask_token + text[10:] if kind == "roberta" else "the [MASK] said"
    logits = access.model(**access.tokenizer(shown, return_tensors="pt")).logits[0]
    place = access.tokenizer(shown)["input_ids"].index(access.tokenizer.mask_token_id)
    assert found[0] == pytest.approx(logits[place].log_softmax(-1)[word[0]].item(), abs=1e-5)


@MASKED
def test_masked_log_probabilities_are_those_of_one_question_at_a_time(kind: str, hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    access, rng, questions = hub[kind], np.random.default_rng(0), []
    for pieces in access.pieces(TEXTS):
        for _ in range(4):
            hidden = rng.permutation(len(pieces))[: rng.integers(1, len(pieces) + 1)]
            questions.append(Masked(pieces.ids, hidden, hidden[: rng.integers(0, len(hidden) + 1)]))
    mask = access.tokenizer.mask_token_id
    want = [slow_language.hub_masked(access.model, question, mask) for question in questions]
    for positions in (scoring.POSITIONS, 30):
        monkeypatch.setattr(scoring, "POSITIONS", positions)
        for expected, answer in zip(want, access.masked(questions), strict=True):
            np.testing.assert_allclose(answer, expected, atol=1e-5)
    rows = [pieces.ids for pieces in access.pieces(TEXTS)]
    for row, answer in zip(rows, access.unmasked(rows), strict=True):
        nothing = Masked(row, np.array([], dtype=np.int64), np.arange(len(row)))
        np.testing.assert_allclose(answer, slow_language.hub_masked(access.model, nothing, mask), atol=1e-5)


def test_causal_log_probabilities_are_those_of_one_piece_at_a_time(hub: dict[str, Any]):
    access = hub["gpt2"]
    rows = [pieces.ids for pieces in access.pieces(TEXTS)]
    for row, answer in zip(rows, access.causal(rows), strict=True):
        np.testing.assert_allclose(answer, slow_language.hub_causal(access.model, row, 0), atol=1e-5)
    led = access.causal([np.concatenate([[0], rows[0]])])[0]
    assert np.isnan(led[0])
    np.testing.assert_allclose(led[1:], access.causal([rows[0]])[0], atol=1e-6)


def test_the_head_sees_the_states_that_are_asked_for_alone(hub: dict[str, Any]):
    for kind in ("bert", "roberta", "gpt2"):
        access, seen = hub[kind], []
        handle = access.model.get_output_embeddings().register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(output.shape))
        rows = [pieces.ids for pieces in access.pieces(TEXTS)]
        if kind == "gpt2":
            access.causal(rows)
        else:
            access.masked([Masked(row, np.array([0]), np.array([0])) for row in rows])
        handle.remove()
        assert [tuple(shape) for shape in seen] == [(sum(map(len, rows)) if kind == "gpt2" else len(rows), access.model.config.vocab_size)]


@EVERY
@pytest.mark.parametrize("pooling", ["cls", "first", "last", "mean"])
def test_vectors_are_those_of_the_encoder_called_plainly(kind: str, pooling: str, hub: dict[str, Any]):
    access = hub[kind]
    found = access.encode(TEXTS, pooling=pooling)
    spans = [(4, 10), (0, 2), (6, 11), (1, 3), (4, 15)]
    within = None if pooling == "cls" else access.encode_within(TEXTS, spans, pooling=pooling)
    for row, pieces in enumerate(access.pieces(TEXTS)):
        with torch.no_grad():
            states = access.model.base_model(input_ids=torch.from_numpy(pieces.ids)[None]).last_hidden_state[0].numpy()
        np.testing.assert_allclose(found[row], slow_language.pooled(pieces, states, pooling), atol=1e-5)
        if within is not None:
            np.testing.assert_allclose(within[row], slow_language.pooled(pieces, states, pooling, spans[row]), atol=1e-5)
    assert access.encode([], pooling="mean").shape[0] == 0


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_text_is_that_of_one_text_at_a_time_without_a_cache(rows: int, hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sampling, "ROWS", rows)
    access, streams, prompts = hub["gpt2"], Streams(4), ["the doctor said", "", "he ", "the nurse said that she was"]
    found = access.generate(prompts, samples=2, most_words=4, top_p=0.8, temperature=0.7, streams=streams)

    def scores(read: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return access.model(input_ids=torch.tensor([read])).logits[0, -1]

    for place, prompt in enumerate(prompts):
        ids = access.tokenizer(prompt.rstrip())["input_ids"] or [0]
        for sample in range(2):
            draws = streams.generator("generation", place, sample).random(16)
            drawn = slow_language.written(scores, ids, draws, ends={0}, top_p=0.8, temperature=0.7)
            assert found[place][sample] == first_words(access.tokenizer.decode(drawn), 4)
    assert len({text for texts in found for text in texts}) == 8


def test_what_is_longer_than_the_model_reads_is_cut_and_says_so(hub: dict[str, Any]):
    text = "the doctor " * 40
    for kind, most in (("bert", 40), ("roberta", 40), ("gpt2", 39)):
        pieces = hub[kind].pieces([text, "he"])
        assert (len(pieces[0]), pieces[0].cut, pieces[1].cut) == (most, True, False)
        assert pieces[0].special[-1] == (kind != "gpt2"), "the last special piece is kept"
        rows = [pieces[0].ids]
        answer = hub[kind].causal(rows)[0] if kind == "gpt2" else hub[kind].unmasked(rows)[0]
        assert np.isfinite(answer).all()
    with pytest.raises(InputError, match=r"prompt 0 has 8[0-9] pieces and the model reads 40"):
        hub["gpt2"].generate([text], samples=1, most_words=1, top_p=1.0, temperature=1.0, streams=Streams(0))


def test_unknown_pieces_are_told(hub: dict[str, Any]):
    assert hub["bert"].pieces(["the \u4e2d"])[0].known.tolist() == [True, True, False, True]
    assert hub["gpt2"].pieces(["the \u4e2d"])[0].known.all()


def changed(folder: Path, target: Path, **values: Any) -> Path:
    """A copy of a folder whose configuration says something else."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **values}))
    return target


def test_pickles_are_refused(folders: dict[str, Path], tmp_path: Path):
    folder = changed(folders["bert"], tmp_path / "pickled")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"as a pickle \(pytorch_model.bin\), which can run any code"):
        open_access(folder)


def test_code_that_comes_with_a_model_is_not_run(folders: dict[str, Path], tmp_path: Path):
    folder = changed(folders["bert"], tmp_path / "coded", model_type="mine", auto_map={"AutoConfig": "mine.Config"})
    (folder / "mine.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\nclass Config: pass\n")
    with pytest.raises(InputError, match="cannot be read as a language model"):
        open_access(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({"architectures": None}, {}, "names no architecture; set kind to"),
        ({"architectures": ["BertForSequenceClassification"]}, {}, "is a BertForSequenceClassification, which is neither"),
        ({"is_encoder_decoder": True}, {}, "is an encoder with a decoder"),
        ({"model_type": "no-such-model"}, {}, "cannot be read as a language model"),
    ],
)
def test_models_of_other_kinds_are_refused(values: dict, options: dict, message: str, folders: dict[str, Path], tmp_path: Path):
    with pytest.raises(InputError, match=message):
        open_access(changed(folders["bert"], tmp_path / "other", **values), **options)


def test_a_head_that_is_not_there_is_not_drawn_at_random(folders: dict[str, Path]):
    with pytest.raises(InputError, match="lacks weights that a model of kind 'masked' has"):
        open_access(folders["bert-encoder"], kind="masked")
    with pytest.raises(InputError, match=r"the tokenizer of .* has no mask|cannot be read as"):
        open_access(folders["gpt2"], kind="masked")
    assert type(open_access(folders["bert"], kind="encoder")) is HubEncoder


def test_a_name_that_is_nowhere_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="neither a folder nor in the local Hugging Face cache"):
        open_access("hub:nobody/has-this")
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        open_access(tmp_path)


def test_a_classifier_can_be_looked_at_as_an_encoder(tmp_path: Path):
    size = tiny_language_models.wordpiece(tmp_path)
    config = transformers.BertConfig(vocab_size=size, **tiny_language_models.SIZES, max_position_embeddings=40)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="set kind to 'encoder'"):
        open_access(tmp_path)
    assert open_access(tmp_path, kind="encoder").encode(["he was"], pooling="mean").shape == (1, 16)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_tokenizer_whose_files_are_missing_is_refused(kind: str, folders: dict[str, Path], tmp_path: Path):
    target = changed(folders[kind], tmp_path / "model")
    for path in target.iterdir():
        if path.suffix != ".safetensors" and path.name != "config.json":
            path.unlink()
    with pytest.raises(InputError, match=r"tokenizer"):
        open_access(str(target))
