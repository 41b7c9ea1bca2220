"""The conditional random field against every row of tags there is, at ragged lengths, with unknown tags and words that are not read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import chains as oracle
from torch import Tensor

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.models import Bag, BiLSTM, Hub, Labels, Transformer, Transitions
from holdfast.models.crf import TagTransitions, log_likelihood, log_partition, marginals
from holdfast.models.crf.transitions import FURTHEST

SMALL = {
    "bag": Bag(embedding=6, hidden=5, tag_head="crf"),
    "bilstm": BiLSTM(embedding=6, hidden=5, characters=4, character_width=3, tag_head="crf"),
    "transformer": Transformer(width=8, layers=1, heads=2, feedforward=12, tag_head="crf"),
}
CHAINS = st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=4)
"""Which words of which example are read."""


class Drawn:
    """Random scores, tags and transitions; what is not read holds nonsense."""

    def __init__(self, read: list[list[bool]], *, tags: int, seed: int, spread: float = 2.0, unknown: float = 0.0) -> None:
        rng = np.random.default_rng(seed)
        B, W = len(read), max(map(len, read))
        self.mask = np.array([row + [False] * (W - len(row)) for row in read])
        self.logits = rng.normal(size=(B, W, tags)) * spread
        self.tags = np.where(rng.random((B, W)) < unknown, -100, rng.integers(0, tags, (B, W)))
        self.table = np.clip(rng.normal(size=(tags + 2, tags)) * spread, -FURTHEST, FURTHEST)
        self.logits[~self.mask], self.tags[~self.mask] = 1e4 * rng.normal(size=(B, W, tags))[~self.mask], -100

    def tensors(self, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Transitions]:
        table = torch.from_numpy(self.table).to(dtype).expand(len(self.mask), -1, -1)
        return torch.from_numpy(self.logits).to(dtype), torch.from_numpy(self.tags), torch.from_numpy(self.mask), Transitions(table)

    def each(self, what: Callable, *, with_tags: bool = True) -> list:
        """A function of the oracle over each example alone, of which only the words that are read are told."""
        found = []
        for logits, tags, mask in zip(self.logits, self.tags, self.mask, strict=True):
            found.append(what(logits[mask], *([tags[mask].tolist()] if with_tags else []), self.table))
        return found


@settings(deadline=None, max_examples=60)
@given(read=CHAINS, tags=st.integers(1, 4), seed=st.integers(0, 999), unknown=st.sampled_from([0.0, 0.4]))
def test_the_likelihood_is_that_of_every_row_of_tags(read: list[list[bool]], tags: int, seed: int, unknown: float):
    drawn = Drawn(read, tags=tags, seed=seed, unknown=unknown)
    found = log_likelihood(*drawn.tensors())
    np.testing.assert_allclose(found.numpy(), drawn.each(oracle.log_likelihood), atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(read=CHAINS, tags=st.integers(1, 4), seed=st.integers(0, 999))
def test_the_marginals_are_those_of_every_row_of_tags(read: list[list[bool]], tags: int, seed: int):
    drawn = Drawn(read, tags=tags, seed=seed)
    logits, _, mask, transitions = drawn.tensors()
    found = marginals(logits, mask, transitions).numpy()
    for row, expected in enumerate(drawn.each(oracle.marginals, with_tags=False)):
        np.testing.assert_allclose(found[row, drawn.mask[row]], expected, atol=1e-10)
    assert not found[~drawn.mask].any()


def test_marginals_are_the_gradient_of_the_partition():
    logits, _, mask, transitions = Drawn([[True] * 5, [True, False, True, True], [False]], tags=6, seed=1).tensors()
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(log_partition(logits, mask, transitions).sum(), logits)
    torch.testing.assert_close(gradient, marginals(logits.detach(), mask, transitions), atol=1e-12, rtol=0)


@pytest.mark.parametrize("unknown", [0.0, 0.5])
def test_first_and_second_gradients_are_those_of_finite_differences(unknown: float):
    drawn = Drawn([[True] * 3, [True, False, True], [False, True]], tags=3, seed=2, unknown=unknown)
    logits, tags, mask, transitions = drawn.tensors()

    def loss(logits: Tensor, table: Tensor) -> Tensor:
        return log_likelihood(logits, tags, mask, Transitions(table))

    given = (logits.clamp(-9, 9).requires_grad_(), transitions.rows_BRS.clone().requires_grad_())
    assert torch.autograd.gradcheck(loss, given)
    assert torch.autograd.gradgradcheck(loss, given)


@pytest.mark.parametrize("unknown", [0.0, 0.4])
def test_no_gradient_reaches_another_row_or_a_word_that_is_not_read(unknown: float):
    drawn = Drawn([[True, True, True], [True, False, True], [True]], tags=4, seed=3, unknown=unknown)
    logits, tags, mask, transitions = drawn.tensors()
    logits, rows = logits.requires_grad_(), transitions.rows_BRS.clone().requires_grad_()
    found = log_likelihood(logits, tags, mask, Transitions(rows))
    for row in range(3):
        at_logits, at_rows = torch.autograd.grad(found[row], (logits, rows), retain_graph=True)
        others = torch.arange(3) != row
        assert not at_logits[others].any()
        assert not at_rows[others].any()
        assert not at_logits[row, ~mask[row]].any()


def test_padding_and_neighbours_change_nothing():
    drawn = Drawn([[True] * 6, [True] * 2, [True]], tags=5, seed=4)
    logits, tags, mask, transitions = drawn.tensors()
    together = log_likelihood(logits, tags, mask, transitions)
    for row, length in enumerate([6, 2, 1]):
        alone = log_likelihood(
            logits[row, None, :length], tags[row, None, :length], mask[row, None, :length], Transitions(transitions.rows_BRS[:1])
        )
        torch.testing.assert_close(alone[0], together[row], atol=1e-12, rtol=0)
    logits[~mask] = torch.nan
    assert torch.equal(log_likelihood(logits, tags, mask, transitions), together)


def test_without_transitions_words_are_chosen_by_themselves():
    logits, tags, mask, _ = Drawn([[True] * 4, [True, False, True]], tags=5, seed=5, unknown=0.3).tensors()
    found = log_likelihood(logits, tags, mask, TagTransitions(5).double()(logits[:, 0]))
    expected = -F.cross_entropy(logits.mT, tags, ignore_index=-100, reduction="none").sum(1)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_what_nobody_knows_costs_nothing():
    drawn = Drawn([[True, True], [False, False], [True, True]], tags=3, seed=6)
    logits, tags, mask, transitions = drawn.tensors()
    tags[0] = -100
    found = log_likelihood(logits, tags, mask, transitions)
    torch.testing.assert_close(found[:2], torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)
    assert found[2] < -1e-3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [1.0, 30.0, 3000.0])
@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_single_precision_holds_out_at_scores_of_any_size(spread: float, unknown: float, seed: int):
    """Scores of thousands, and transitions as far apart as they may be."""
    drawn = Drawn([[True] * 5] * 6 + [[True, True]] * 6, tags=3, seed=seed, spread=spread, unknown=unknown)
    logits, tags, mask, transitions = drawn.tensors(torch.float32)
    logits.requires_grad_()
    found = log_likelihood(logits, tags, mask, transitions)
    np.testing.assert_allclose(found.detach().numpy(), drawn.each(oracle.log_likelihood), rtol=1e-5, atol=1e-5 * spread)
    found.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().max() <= 1 + 1e-5
    assert (log_likelihood(*drawn.tensors(torch.bfloat16)).dtype, found.dtype) == (torch.float32, torch.float32)


def test_no_examples_have_no_likelihood():
    logits, tags, mask = torch.zeros(0, 1, 3), torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, 1, dtype=torch.bool)
    transitions = TagTransitions(3)(torch.zeros(0, 7))
    assert log_likelihood(logits, tags, mask, transitions).shape == (0,)
    assert marginals(logits, mask, transitions).shape == (0, 1, 3)


def test_each_example_has_its_own_copy_of_the_transitions():
    module = TagTransitions(3)
    assert not module.table.weight.any()
    module.table.weight.data = torch.arange(15.0).view(5, 3) * 3 - 15  # the last ones are beyond what is let pass
    transitions = module(torch.full((2, 4), torch.nan))
    assert (transitions.between_BSS.shape, transitions.start_BS.shape, transitions.end_BS.shape) == ((2, 3, 3), (2, 3), (2, 3))
    assert transitions.between_BSS[1].tolist() == [[-15, -12, -9], [-6, -3, 0], [3, 6, 9]]
    assert (transitions.start_BS[0].tolist(), transitions.end_BS[0].tolist()) == ([12, 15, 18], [20, 20, 20])


@pytest.mark.parametrize("name", SMALL)
def test_any_model_with_it_suits_a_private_clipper(name: str, built, check_contract):
    check_contract(*built(SMALL[name]))


@pytest.mark.parametrize("name", SMALL)
def test_a_loaded_model_has_the_transitions(name: str, built, labels, sentences, tmp_path: Path):
    module, featuriser = built(SMALL[name])
    torch.nn.init.normal_(module.heads.transitions.table.weight)
    models.save(tmp_path / "saved", module, SMALL[name], featuriser, labels)
    loaded = models.load(tmp_path / "saved")
    assert loaded.settings == SMALL[name]
    features = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    assert torch.equal(loaded.module(features).transitions.rows_BRS, module(features).transitions.rows_BRS)
    assert torch.equal(loaded.module(features).tokens_BWS, module(features).tokens_BWS)


@pytest.mark.parametrize("name", SMALL)
def test_all_other_weights_are_drawn_as_without_it(name: str, built):
    joint, alone = (built(one)[0].state_dict() for one in (SMALL[name], replace(SMALL[name], tag_head="softmax")))
    assert joint.keys() - alone.keys() == {"heads.transitions.table.weight"}
    assert all(torch.equal(joint[key], value) for key, value in alone.items())


def test_a_model_without_tags_has_no_transitions(built, sentences):
    module, featuriser = built(SMALL["bilstm"], Labels(("a", "b")))
    assert module(featuriser.collate(featuriser.encode(sentences), np.arange(4))).transitions is None
    assert module.heads.transitions is None


@pytest.mark.parametrize("made", [Bag, BiLSTM, Transformer, lambda **options: Hub(name="minilm", **options)])
def test_an_unknown_head_is_refused(made: Callable):
    with pytest.raises(InputError, match="tag_head is 'crff'; did you mean 'crf'"):
        made(tag_head="crff")
