"""Models of Hugging Face and adapters of peft, untouched: norms and sums against every example alone, or a refusal by name."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.exactness import Errors, made
from tests.oracles.families import ADAPTED, COMMON, FURTHER, OURS, REFUSED, REFUSED_ADAPTERS, Batch, Family
from tests.oracles.figures import DRAWS, TABLES, USUAL, measured
from torch import Tensor, nn

from holdfast.core.errors import PreflightError
from holdfast.privacy import Execution
from holdfast.privacy.engine import recording
from holdfast.privacy.sums import clip_weights, per_example, squared_norms

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explain" / "what-can-be-clipped.md"
GOALS = {torch.float64: 1e-10, torch.float32: 1e-5}

dtypes = pytest.mark.parametrize("dtype", GOALS, ids=str)


def hold(found: Errors, dtype: torch.dtype) -> None:
    assert found.norms < GOALS[dtype]
    assert found.sums < GOALS[dtype]
    assert found.parts < (GOALS[dtype] if dtype is torch.float64 else 1e-3)  # rounding weighs on small parts in single precision


@dtypes
@pytest.mark.parametrize("name", [*COMMON, *OURS])
def test_common_models_are_clipped_exactly(name: str, dtype: torch.dtype):
    hold(measured({**COMMON, **OURS}[name], dtype), dtype)


@pytest.mark.parametrize("name", COMMON)
@settings(deadline=None, max_examples=5)
@given(lengths=st.lists(st.integers(0, 8), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_at_every_shape(name: str, lengths: list[int], seed: int):
    """One example alone, sentences that are all padding, repeated words, as many words as examples."""
    hold(measured(COMMON[name], torch.float64, seed=seed, lengths=lengths), torch.float64)


@pytest.mark.slow
@dtypes
@pytest.mark.parametrize("name", FURTHER)
def test_further_models_are_clipped_exactly(name: str, dtype: torch.dtype):
    hold(measured(FURTHER[name], dtype), dtype)


@pytest.mark.parametrize("name", ADAPTED)
def test_adapters_are_clipped_exactly(name: str):
    hold(measured(ADAPTED[name], torch.float64), torch.float64)


@pytest.mark.parametrize("lengths", [[7, 5, 2], [4, 4, 4, 4]], ids=["ragged", "as many words as examples"])
@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_ADAPTERS])
def test_what_cannot_be_clipped_is_refused_by_the_name_of_a_parameter(name: str, lengths: list[int]):
    family, at = {**REFUSED, **REFUSED_ADAPTERS}[name]
    model, batch = made(family.make, 0), Batch.drawn(lengths, seed=0)
    with pytest.raises(PreflightError, match=at) as caught:
        squared_norms(model, lambda rows: family.loss(model, batch, rows), np.arange(len(lengths)))
    named = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert any(name in reason for name in named for reason in caught.value.reasons)


@pytest.mark.parametrize("name", COMMON)
def test_an_empty_batch_gives_zeros(name: str):
    family = COMMON[name]
    model, batch = made(family.make, 0), Batch.drawn(USUAL, seed=0)
    got = per_example(
        model, lambda rows: family.loss(model, batch, rows), np.arange(0), weigh=lambda squares: squares, execution=Execution()
    )
    assert got.keys() == dict(model.named_parameters()).keys()
    assert all(not gradient.any() for gradient in got.values())
    assert len(squared_norms(model, lambda rows: family.loss(model, batch, rows), np.arange(0))) == 0


def test_parts_of_a_batch_add_up():
    """Physical batches of two, clipped at the median: the same sum as from the loop."""
    family = COMMON["GPT-2 (tied head)"]
    model, batch = made(family.make, 3).double(), Batch.drawn([3, 8, 0, 5, 6], seed=3)

    def losses_of(rows: np.ndarray) -> Tensor:
        return family.loss(model, batch, rows)

    clip_norm = float(squared_norms(model, losses_of, np.arange(5)).sqrt().median())
    sums = [
        per_example(model, losses_of, np.arange(5), weigh=lambda squares: clip_weights(squares, clip_norm), execution=execution)
        for execution in (Execution(physical_batch_size=2), Execution(engine="loop"))
    ]
    for name, gradient in sums[0].items():
        torch.testing.assert_close(gradient, sums[1][name], rtol=1e-10, atol=1e-10 * clip_norm)


@pytest.mark.parametrize("name", ["GPT-2 (tied head)", "T5 (tied head, relative bias)", "ALBERT (shared layers)"])
def test_a_dropped_cross_term_would_be_seen(name: str, monkeypatch: pytest.MonkeyPatch):
    """A planted fault: a tied or shared weight counts as two, as in libraries that keep one norm for each use."""
    monkeypatch.setattr("holdfast.privacy.engine.tape.inner_product", lambda one, other: torch.zeros(len(USUAL)))
    monkeypatch.setattr("holdfast.privacy.engine.tape.inner_product_with_dense", lambda one, other: torch.zeros(len(USUAL)))
    assert measured(COMMON[name], torch.float64).norms > 1e-4  # a million times the goal


@pytest.mark.parametrize(
    ("name", "reentrant"),
    [("BERT", False), ("BERT", True), ("GPT-2 (tied head)", False), ("GPT-2 (tied head)", True), ("T5 (tied head, relative bias)", False)],
)
def test_activation_checkpointing_changes_nothing(name: str, reentrant: bool):
    family, batch, sums = COMMON[name], Batch.drawn(USUAL, seed=0), []
    for model, kept in product((made(family.make, 0).double(), checkpointed(family, reentrant=reentrant)), (False, True)):
        with recording(model, len(USUAL)) as tape:
            family.loss(model, batch, np.arange(len(USUAL))).sum().backward(retain_graph=kept)
        got: dict[str, Tensor] = {}
        norms = tape.squared_norms()
        tape.add_weighted_sum(torch.linspace(-1, 2, len(USUAL)).double(), into=got)
        sums.append((norms, got))
    for norms, got in sums[1:]:
        torch.testing.assert_close(norms, sums[0][0], rtol=1e-12, atol=0)
        assert got.keys() == sums[0][1].keys()
        for name, gradient in sums[0][1].items():
            torch.testing.assert_close(got[name], gradient, rtol=1e-9, atol=1e-12)


def test_a_bias_that_leaves_its_checkpointed_block_is_refused():
    """T5 hands the relative bias of its first layer to the others; reentrant checkpointing sums its gradient over the batch."""
    family, batch = COMMON["T5 (tied head, relative bias)"], Batch.drawn(USUAL, seed=0)
    model = checkpointed(family, reentrant=True)
    with pytest.raises(PreflightError, match="relative_attention_bias"):
        squared_norms(model, lambda rows: family.loss(model, batch, rows), np.arange(len(USUAL)))


def checkpointed(family: Family, *, reentrant: bool) -> nn.Module:
    model = made(family.make, 0).double()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    return model


@pytest.mark.parametrize("how", ["autocast", "bfloat16"])
@pytest.mark.parametrize("name", COMMON)
def test_in_low_precision_what_is_added_has_the_norm_that_was_measured(name: str, how: str):
    """Norms and sums are formed in single precision from what low precision left: what is clipped is what is added."""
    family, batch = COMMON[name], Batch.drawn(USUAL, seed=0)
    model = made(family.make, 0).to(torch.bfloat16 if how == "bfloat16" else torch.float32)
    alone = made(family.make, 0).double()
    for example in range(len(USUAL)):
        with recording(model, len(USUAL)) as tape, torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
            family.loss(model, batch, np.arange(len(USUAL))).float().sum().backward()
        got: dict[str, Tensor] = {}
        norms = tape.squared_norms()[0].sqrt()
        tape.add_weighted_sum(torch.eye(len(USUAL))[example], into=got)
        added = torch.stack([gradient.double().norm() for gradient in got.values()]).norm()
        assert {gradient.dtype for gradient in got.values()} == {torch.float32}
        torch.testing.assert_close(added, norms[example].double(), rtol=1e-5, atol=0)
        expected = torch.autograd.grad(family.loss(alone, batch, np.array([example])).sum(), list(alone.parameters()), allow_unused=True)
        norm = torch.stack([part.norm() for part in expected if part is not None]).norm()
        torch.testing.assert_close(added, norm, rtol=0.1, atol=0)


def test_the_page_shows_every_family_and_no_figure_beyond_the_goals():
    rows = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines() if line.count("|") == 6 and "e-" in line]
    assert [row[0] for row in rows] == [name for families in TABLES.values() for name in families]
    for _, *figures in rows:
        assert all(float(figure) < goal for figure, goal in zip(figures, [1e-10, 1e-10, 1e-5, 1e-5], strict=True))


@pytest.mark.slow
@dtypes
@pytest.mark.parametrize("name", [name for families in TABLES.values() for name in families])
def test_other_weights_and_sentences(name: str, dtype: torch.dtype):
    family = next(families[name] for families in TABLES.values() if name in families)
    for seed in range(DRAWS):
        hold(measured(family, dtype, seed=seed), dtype)
