"""Our own models asked many rows at a time, against slow twins that ask one by one."""

import numpy as np
import pytest
import torch
from tests.oracles import slow_language, tiny_encoders
from tests.unit.fairness.language.conftest import CLASSES, OWN, fitted

from holdfast import fairness, models, privacy
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.fairness.language import (
    CausalAccess,
    EncodingAccess,
    GeneratingAccess,
    Masked,
    MaskedAccess,
    OwnCausal,
    OwnEncoder,
    OwnMasked,
    ReadsText,
    of_run,
)
from holdfast.tasks import LanguageModel
from holdfast.training import train

TEXTS = ["The doctor said that she wasn't late.", "he", "the nurse was early, the nurse said", "unbelievably kind", "x y z " * 4]
CAUSAL = pytest.mark.parametrize("name", [name for name in OWN if name.startswith(("lstm", "decoder"))])
MASKED = pytest.mark.parametrize("name", [name for name in OWN if name.startswith("masked")])
EVERY = pytest.mark.parametrize("name", OWN)


@EVERY
def test_each_model_has_the_accesses_that_it_can_have(name: str):
    access = of_run(fitted(name))
    assert isinstance(access, EncodingAccess)
    assert isinstance(access, ReadsText)
    assert access.name == name
    assert isinstance(access, MaskedAccess) == isinstance(access, OwnMasked) == name.startswith("masked")
    assert isinstance(access, CausalAccess) == isinstance(access, OwnCausal) == name.startswith(("lstm", "decoder"))
    assert isinstance(access, GeneratingAccess) == isinstance(access, OwnCausal)


@MASKED
def test_masked_log_probabilities_are_those_of_one_question_at_a_time(name: str):
    access = of_run(fitted(name))
    rng = np.random.default_rng(0)
    questions = []
    for pieces in access.pieces(TEXTS):
        for _ in range(4):
            hidden = rng.permutation(len(pieces))[: rng.integers(1, len(pieces) + 1)]
            questions.append(Masked(pieces.ids, hidden, hidden[: rng.integers(0, len(hidden) + 1)]))
    questions.append(Masked(questions[0].ids, np.array([0]), np.array([1])))  # asked where nothing is hidden
    found = access.masked(questions)
    for question, answer in zip(questions, found, strict=True):
        np.testing.assert_allclose(answer, slow_language.own_masked(access.module, question), atol=1e-5, rtol=1e-6)
    unmasked = access.unmasked([pieces.ids for pieces in access.pieces(TEXTS)])
    for pieces, answer in zip(access.pieces(TEXTS), unmasked, strict=True):
        nothing = Masked(pieces.ids, np.array([], dtype=np.int64), np.arange(len(pieces)))
        np.testing.assert_allclose(answer, slow_language.own_masked(access.module, nothing), atol=1e-5, rtol=1e-6)
    assert np.concatenate(found).max() <= 0


@CAUSAL
def test_causal_log_probabilities_are_those_of_one_row_at_a_time(name: str):
    access = of_run(fitted(name))
    rows = [pieces.ids for pieces in access.pieces(TEXTS)]
    for row, answer in zip(rows, access.causal(rows), strict=True):
        np.testing.assert_allclose(answer, slow_language.own_causal(access.module, row), atol=1e-5, rtol=1e-6)
        assert np.isfinite(answer).all(), "the first piece is read after the boundary"


def test_the_log_probabilities_of_all_next_words_sum_to_one():
    access = of_run(fitted("lstm"))
    (start,) = (pieces.ids[:-1] for pieces in access.pieces(["the doctor"]))
    rows = [np.append(start, piece) for piece in range(access.featuriser.pieces)]
    assert sum(np.exp(answer[-1]) for answer in access.causal(rows)) == pytest.approx(1, abs=1e-5)


def test_a_trained_model_is_less_surprised_by_what_it_was_trained_on():
    rows = [Example(tokens=("the", "doctor", "said", "that", "she", "was", "late"))] * 20
    data = Dataset.from_examples(rows, name="one", split="train")
    mechanism = privacy.non_private(examples=20, batch_size=10, epochs=60)
    splits = DataSplits("one", data, data.take([0]), data)
    access = of_run(train(LanguageModel(), splits, mechanism=mechanism, model=models.Decoder(width=16, heads=2, layers=1, dropout=0.0)))
    usual, other = (pieces.ids for pieces in access.pieces(["The doctor said that she was late", "The doctor said late she was that"]))
    losses = access.causal([usual, other])
    assert losses[0].sum() > -1
    assert losses[1].sum() < -10
    assert access.generate(["The doctor"], samples=2, most_words=9, top_p=0.9, temperature=1.0, streams=Streams(0)) == [
        ["said that she was late"] * 2
    ]


@EVERY
@pytest.mark.parametrize("pooling", ["cls", "first", "last", "mean"])
def test_vectors_are_those_of_one_text_at_a_time(name: str, pooling: str):
    access = of_run(fitted(name))
    together = access.encode(TEXTS, pooling=pooling)
    alone = np.concatenate([access.encode([text], pooling=pooling) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) > 1
    if pooling != "cls":
        whole = access.encode_within(TEXTS, [(0, len(text)) for text in TEXTS], pooling=pooling)
        np.testing.assert_allclose(whole, together, atol=1e-6)


@EVERY
def test_the_vector_of_a_part_is_that_of_its_pieces(name: str):
    """A text of one word has one vector under each pooling; a part of two words the mean of both."""
    access = of_run(fitted(name))
    text, places = "the doctor said", [(0, 3), (4, 10), (11, 15)]
    each = access.encode_within([text] * 3, places, pooling="mean")
    both = access.encode_within([text], [(0, 10)], pooling="mean")[0]
    counts = [len(access.pieces([text])[0].within(*span)) for span in places]
    np.testing.assert_allclose(both, (each[0] * counts[0] + each[1] * counts[1]) / (counts[0] + counts[1]), atol=1e-5)
    if "bytes" not in name:
        whole, part = (access.encode_within([text], [span], pooling="last") for span in ((4, 10), (2, 9)))
        np.testing.assert_allclose(part, whole, atol=1e-5, err_msg="a word that lies in the part by some letters counts as a whole")


def test_states_of_each_kind_of_model_are_what_they_are_said_to_be():
    lstm = fitted("lstm")
    access = of_run(lstm)
    ids = access.pieces(["the doctor"])[0].ids
    states = lstm.module.words(torch.from_numpy(np.concatenate([[lstm.module.boundary], ids[:-1]]))[None])
    for layer in lstm.module.layers:
        states = layer(states)[0]
    np.testing.assert_allclose(access.encode(["the doctor"], pooling="last")[0], states[0, -1].detach(), atol=1e-6)
    bag = of_run(fitted("bag"))
    same = bag.encode_within(["the doctor", "late doctor"], [(4, 10), (5, 11)], pooling="mean")
    np.testing.assert_array_equal(same[0], same[1])
    row = int(bag.featuriser.vocabulary.id_of("doctor"))
    np.testing.assert_allclose(same[0], bag.module.words.trained.weight[row].detach(), atol=1e-7)
    other = of_run(fitted("transformer")).encode_within(["the doctor", "late doctor"], [(4, 10), (5, 11)], pooling="mean")
    assert np.abs(other[0] - other[1]).max() > 1e-3


def test_a_pretrained_encoder_of_a_classifier_gives_its_states(tmp_path):
    settings = models.Hub(name=str(tiny_encoders.saved(tmp_path, "bert")), max_length=20)
    access = of_run(fitted("hub", settings, CLASSES))
    text = "Play unbelievably some jazz"
    pieces = access.pieces([text])[0]
    plain = access.module.encoder(input_ids=torch.from_numpy(pieces.ids)[None]).last_hidden_state[0].detach().numpy()
    for pooling in ("cls", "first", "last", "mean"):
        np.testing.assert_allclose(
            access.encode([text, "stop"], pooling=pooling)[0], slow_language.pooled(pieces, plain, pooling), atol=1e-5
        )
    within = access.encode_within(["stop", text], [(0, 4), (5, 17)], pooling="mean")[1]
    np.testing.assert_allclose(within, slow_language.pooled(pieces, plain, "mean", (5, 17)), atol=1e-5)
    assert len(pieces.within(5, 17)) == 3


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda a: a.encode(["he"], pooling="max"), "pooling is 'max'"),
        (lambda a: a.encode_within(["he"], [(0, 2)], pooling="cls"), "pooling is 'cls'"),
        (lambda a: a.encode_within(["he"], [], pooling="mean"), "0 spans for 1 texts"),
        (lambda a: a.encode_within(["he was", "he"], [(0, 2), (2, 2)], pooling="mean"), "text 1: no piece lies in the part"),
        (lambda a: a.encode_within(["he " * 80], [(230, 232)], pooling="mean"), "longer than the model reads"),
        (lambda a: a.causal([np.zeros(70, dtype=np.int64)]), "row 0 has 70 pieces and the model reads 64"),
    ],
)
def test_what_cannot_be_answered_is_refused(act, message: str):
    with pytest.raises(InputError, match=message):
        act(of_run(fitted("decoder")))


def test_models_that_are_none_of_ours_are_refused():
    model = fitted("bag")
    model.module = torch.nn.Linear(2, 2)
    with pytest.raises(InputError, match="a Linear does not say what its states are"):
        of_run(model)
    assert isinstance(of_run(fitted("bag")), OwnEncoder)
    assert fairness.language.of_run is of_run


def test_the_mode_and_the_hooks_of_a_model_are_left_as_they_were():
    model = fitted("bilstm")
    model.module.train()
    of_run(model).encode(["he was"], pooling="mean")
    assert model.module.training
    assert not model.module.layers[-1]._forward_hooks
