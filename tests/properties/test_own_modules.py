"""A user's own modules, untouched: norms and sums against every example alone, a refusal by name, or a finding of preflight."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.exactness import errors, made
from tests.oracles.own_modules import DISORDERED, EXACT, REFUSED, Case
from torch import Tensor, nn

from holdfast.core.errors import PreflightError
from holdfast.privacy import Execution, dp_sgd
from holdfast.privacy.preflight import preflight
from holdfast.privacy.sums import squared_norms

SHAPES = [(3, 5), (4, 4), (2, 6), (1, 5)]  # none that divides; as many words as examples (and heads); a multiple; a single example


UNNAMED = {"gradient of a gradient", "attention with a learned key"}  # refused for what they are, whatever the parameter


def drawn(examples: int, tokens: int, seed: int) -> Tensor:
    """Ids of words, some of which repeat, and a first row that is all padding."""
    ids = torch.randint(0, 5, (examples, tokens), generator=torch.Generator().manual_seed(seed))
    ids[:, -1] = ids[:, 0]
    ids[0] = 0
    return ids


def losses(ids_BT: Tensor, rows_per_example: int = 1):
    def of(model: nn.Module, rows: np.ndarray) -> Tensor:
        places = (rows[:, None] * rows_per_example + np.arange(rows_per_example)).ravel()
        return model(ids_BT[places]).unflatten(0, (len(rows), rows_per_example)).sum(1)

    return of


@pytest.mark.parametrize("name", EXACT)
def test_exact_in_double_precision(name: str):
    for examples, tokens in SHAPES:
        found = errors(EXACT[name].make, losses(drawn(examples, tokens, 1)), examples=examples)
        assert max(found) < 1e-10, (examples, tokens)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_exact_in_single_precision(name: str):
    found = errors(EXACT[name].make, losses(drawn(4, 5, 2)), examples=4, dtype=torch.float32)
    assert max(found.norms, found.sums) < 1e-5


@pytest.mark.parametrize("name", EXACT)
def test_exact_with_several_rows_of_each_example(name: str):
    for examples, rows, tokens in ((3, 2, 5), (2, 2, 4)):
        found = errors(EXACT[name].make, losses(drawn(examples * rows, tokens, 1), rows), examples=examples, rows=rows)
        assert max(found) < 1e-10, (examples, rows, tokens)


@settings(deadline=None, max_examples=100)
@given(name=st.sampled_from(sorted(EXACT)), examples=st.integers(1, 6), tokens=st.integers(2, 8), seed=st.integers(0, 999))
def test_exact_at_any_shape(name: str, examples: int, tokens: int, seed: int):
    found = errors(EXACT[name].make, losses(drawn(examples, tokens, seed)), examples=examples, seed=seed)
    assert max(found) < 1e-9


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(name: str):
    case = REFUSED[name]
    model, of = made(case.make, 0), losses(drawn(3, 5, 1))
    with pytest.raises(PreflightError, match=case.at) as caught:
        squared_norms(model, lambda rows: of(model, rows), np.arange(3))
    assert all("p" in reason.split(maxsplit=1)[0].split(".") for reason in caught.value.reasons) or name in UNNAMED


@pytest.mark.parametrize("tokens", [3, 5, 6])
@pytest.mark.parametrize("name", DISORDERED)
def test_preflight_finds_layers_that_see_other_rows(name: str, tokens: int):
    """Wherever positions are as many as the probes, twice as many, or neither."""
    with pytest.raises(PreflightError):
        rehearsed(DISORDERED[name], drawn(20, tokens, 1))


@pytest.mark.parametrize("name", ["positions: table, ids kept outside", "shared: linear and linear", "tokens: class token, expanded"])
def test_preflight_lets_proper_ones_pass(name: str):
    rehearsed(EXACT[name], drawn(20, 6, 1))


def rehearsed(case: Case, ids_BT: Tensor) -> None:
    model, of = made(case.make, 0), losses(ids_BT)
    mechanism = dp_sgd(examples=100, batch_size=10, epochs=1, clip_norm=1.0, noise_multiplier=1.0, delta=1e-3)
    preflight(model, lambda rows: of(model, rows), np.arange(len(ids_BT)), mechanism, execution=Execution())
