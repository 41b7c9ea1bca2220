"""A user's own modules, untouched: norms and sums against every example alone, a refusal by name, or a finding of preflight."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import per_example as oracle
from tests.oracles.exactness import errors, made
from tests.oracles.own_modules import DISORDERED, EXACT, REFUSED, Case
from torch import Tensor, nn

from holdfast.core.errors import PreflightError
from holdfast.privacy import Execution, dp_sgd
from holdfast.privacy.engine import recording
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


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_exact_for_each_parameter_alone(name: str):
    """Norms and sums by group, each parameter a group of its own, under weights of its own."""
    model, of = made(EXACT[name].make, 0).double(), losses(drawn(3, 5, 1))
    names = [name for name, _ in model.named_parameters()]
    alone = oracle.gradients(model, lambda i: of(model, np.array([i])).sum(), 3)
    with recording(model, 3, groups={name: group for group, name in enumerate(names)}) as tape:
        of(model, np.arange(3)).sum().backward()
    want_LB = torch.tensor([[oracle.norm({name: one[name]}) ** 2 for one in alone] for name in names], dtype=torch.float64)
    weights_LB = torch.linspace(-1, 2, want_LB.numel()).double().view_as(want_LB)
    torch.testing.assert_close(tape.squared_norms(), want_LB, rtol=1e-10, atol=1e-10 * float(want_LB.max()))
    got: dict[str, Tensor] = {}
    tape.add_weighted_sum(weights_LB, into=got)
    for name, weights_B in zip(names, weights_LB, strict=True):
        want = sum(weight * one[name] for weight, one in zip(weights_B, alone, strict=True))
        torch.testing.assert_close(got.get(name, torch.zeros_like(want)), want, rtol=1e-9, atol=1e-9 * float(want_LB.max().sqrt()))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_a_gradient_that_is_no_number_stays_with_its_example(name: str):
    model, of = made(EXACT[name].make, 0).double(), losses(drawn(3, 5, 1))
    spoilt_B = torch.tensor([False, True, False])

    def recorded(factor_B: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with recording(model, 3) as tape:
            (of(model, np.arange(3)) * factor_B).sum().backward()
        norms_B, got = tape.squared_norms()[0], dict[str, Tensor]()
        tape.forget(spoilt_B)
        tape.add_weighted_sum((~spoilt_B).double(), into=got)
        return norms_B, got

    (norms_B, got), (want_B, want) = recorded(torch.where(spoilt_B, torch.nan, 1.0)), recorded(torch.ones(3))
    assert not norms_B[1].isfinite()
    torch.testing.assert_close(norms_B[~spoilt_B], want_B[~spoilt_B])
    torch.testing.assert_close(got, want)


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
