"""Recording a pass: what it leaves as it was, what it survives, and whose gradients it does not mistake for the batch's."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from tests.oracles.exactness import errors, made
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode_stack
from torch.utils.checkpoint import checkpoint

from holdfast.core.errors import InputError, PreflightError
from holdfast.privacy import kernels
from holdfast.privacy.engine import recording, trainable
from holdfast.privacy.sums import add_recorded, squared_norms

IDS = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(0))


class Mixed(nn.Module):
    """One of each kind of record: lookups, positions, products, a norm, a convolution, attention, an LSTM, a bare parameter."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(7, 4), nn.Embedding(9, 4)
        self.linear, self.normal, self.scale = nn.Linear(4, 4), nn.LayerNorm(4), nn.Parameter(torch.ones(4))
        self.convolution, self.attention = nn.Conv1d(4, 4, 3, padding=1), nn.MultiheadAttention(4, 2, batch_first=True)
        self.cells, self.head = nn.LSTM(4, 3, batch_first=True, bidirectional=True), nn.Linear(6, 1)
        self.dropout = dropout

    def body(self, h_BTD: Tensor) -> Tensor:
        h_BTD = h_BTD + self.places(torch.arange(h_BTD.shape[1]))
        h_BTD = F.dropout(self.normal(self.linear(h_BTD).tanh() * self.scale), self.dropout)
        h_BTD = self.convolution(h_BTD.mT).mT
        h_BTD = self.attention(h_BTD, h_BTD, h_BTD)[0]
        return self.head(self.cells(h_BTD)[0])

    def forward(self, ids_BT: Tensor) -> Tensor:
        return 9 * self.body(self.words(ids_BT)).sum((1, 2)).sin()


class Frugal(Mixed):
    """Forgets activations and computes them again."""

    reentrant = False

    def forward(self, ids_BT: Tensor) -> Tensor:
        return 9 * checkpoint(self.body, self.words(ids_BT), use_reentrant=self.reentrant).sum((1, 2)).sin()


class Deep(Frugal):
    reentrant = True


def recorded(model: nn.Module, backward: Callable[[nn.Module], None]) -> tuple[Tensor, dict[str, Tensor]]:
    with recording(model, 3) as tape:
        backward(model)
    got: dict[str, Tensor] = {}
    norms = tape.squared_norms()[0]
    tape.add_weighted_sum(torch.tensor([1.0, -2.0, 3.0]).double(), into=got)
    return norms, got


def whole(model: nn.Module) -> None:
    model(IDS).sum().backward()


def same(one: tuple[Tensor, dict[str, Tensor]], other: tuple[Tensor, dict[str, Tensor]]) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=1e-10, atol=0)
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        torch.testing.assert_close(other[1][name], gradient, rtol=1e-9, atol=1e-12)


def test_every_kind_of_record_is_exact():
    assert max(errors(Mixed, lambda model, rows: model(IDS[rows]), examples=3)) < 1e-10


@pytest.mark.parametrize("kind", [Frugal, Deep])
def test_activation_checkpointing_with_dropout_changes_nothing(kind: type[nn.Module]):
    """Parameters meet again in the backward pass, where the same numbers are dropped, and every one is recorded once."""
    results = []
    for model in (made(lambda: Mixed(0.3), 0).double(), made(lambda: kind(0.3), 0).double()):
        torch.manual_seed(5)
        results.append(recorded(model, whole))
    same(*results)
    assert len(results[0][1]) == len(list(Mixed().parameters()))


def test_saved_tensors_may_come_back_as_copies():
    def backward(model: nn.Module) -> None:
        with torch.autograd.graph.save_on_cpu():
            losses = model(IDS)
        losses.sum().backward()

    same(recorded(made(Mixed, 0).double(), whole), recorded(made(Mixed, 0).double(), backward))


def test_two_backward_passes_add_up():
    def backward(model: nn.Module) -> None:
        losses = model(IDS)
        (losses / 4).sum().backward(retain_graph=True)
        torch.autograd.backward([losses * 0.5, losses], [torch.ones(3).double(), torch.full((3,), 0.25).double()])

    same(recorded(made(Mixed, 0).double(), whole), recorded(made(Mixed, 0).double(), backward))


def test_a_gradient_taken_on_the_way_is_not_the_batchs():
    """Adversarial training looks at the gradient of the words first; it steers them, and is no part of the sum."""

    class Steered(Mixed):
        def forward(self, ids_BT: Tensor) -> Tensor:
            h_BTD = self.words(ids_BT)
            (slope,) = torch.autograd.grad(self.body(h_BTD).sum(), h_BTD, retain_graph=True)
            return 9 * self.body(h_BTD + slope.sign()).sum((1, 2)).sin()

    assert max(errors(Steered, lambda model, rows: model(IDS[rows]), examples=3)) < 1e-10


def test_compiled_parts_run_as_they_were_written():
    import torch._dynamo

    class Compiled(Mixed):
        def __init__(self) -> None:
            super().__init__()
            self.fast = torch.compile(self.body, backend="aot_eager")

        def forward(self, ids_BT: Tensor) -> Tensor:
            return 9 * self.fast(self.words(ids_BT)).sum((1, 2)).sin()

    same(recorded(made(Mixed, 0).double(), whole), recorded(made(Compiled, 0).double(), whole))
    assert torch._dynamo.eval_frame._stance.stance == "default"


def test_the_forward_pass_drops_what_it_would_drop_otherwise():
    model = made(lambda: Mixed(0.5), 0)
    torch.manual_seed(1)
    plain = model(IDS)
    torch.manual_seed(1)
    with recording(model, 3):
        watched = model(IDS)
    torch.testing.assert_close(watched, plain)
    assert not torch.equal(plain, model(IDS))


def test_evaluation_meanwhile_records_nothing():
    def backward(model: nn.Module) -> None:
        with torch.no_grad():
            model(IDS[:, :3])
        model(IDS).sum().backward()
        with torch.inference_mode():
            model(IDS[:2])

    same(recorded(made(Mixed, 0).double(), whole), recorded(made(Mixed, 0).double(), backward))


def test_all_is_as_before_after_an_error():
    model = made(Mixed, 0)
    model.scale.grad = torch.full((4,), 7.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def fails(model: nn.Module) -> None:
        model(IDS).sum().backward()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recorded(model, fails)
    assert not _get_current_function_mode_stack()
    assert all("forward" not in vars(module) for module in model.modules())
    assert torch.equal(model.scale.grad, torch.full((4,), 7.0))
    assert [name for name, parameter in model.named_parameters() if parameter.grad is not None] == ["scale"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    same(recorded(model.double(), whole), recorded(made(Mixed, 0).double(), whole))


def test_a_forward_that_somebody_else_put_there_stays():
    model = made(Mixed, 0).double()
    model.cells.forward = lambda x: nn.LSTM.forward(model.cells, 2 * x)
    with recording(model, 3) as tape:
        model(IDS).sum().backward()
    assert "forward" in vars(model.cells)
    assert "cells.weight_hh_l0" in tape.names_met()


def test_recordings_do_not_nest():
    model = Mixed()
    with recording(model, 3):
        with pytest.raises(PreflightError, match="already"), recording(Mixed(), 3):
            pass
        assert len(_get_current_function_mode_stack()) == 1
    assert not _get_current_function_mode_stack()


def test_threads_record_their_own_models():
    models, results = [made(Mixed, seed).double() for seed in (0, 1)], {}

    def work(place: int) -> None:
        for _ in range(5):
            results[place] = recorded(models[place], whole)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in range(2):
        same(results[place], recorded(models[place], whole))


def test_what_another_thread_computes_is_refused():
    for factor in (None, 2.0):

        def backward(model: nn.Module, factor: float | None = factor) -> None:
            weight, found = model.linear.weight if factor is None else model.linear.weight * factor, []
            thread = threading.Thread(target=lambda: found.append(F.linear(torch.ones(3, 4).double(), weight)))
            thread.start()
            thread.join()
            (model(IDS) + found.pop().sum(1)).sum().backward()

        with pytest.raises(PreflightError, match=r"linear\.weight is used in a way that cannot be seen"):
            recorded(made(Mixed, 0).double(), backward)


def test_gradient_hooks_are_refused_before_the_pass():
    model = Mixed()
    handle = model.scale.register_hook(lambda gradient: 2 * gradient)
    with pytest.raises(PreflightError, match="scale has a gradient hook"):
        squared_norms(model, lambda rows: model(IDS[rows]), np.arange(3))
    handle.remove()
    assert len(squared_norms(model, lambda rows: model(IDS[rows]), np.arange(3))) == 3


def test_hooks_on_activations_see_what_they_would_see():
    class Hooked(Mixed):
        def body(self, h_BTD: Tensor) -> Tensor:
            h_BTD = 1 * h_BTD
            h_BTD.register_hook(lambda gradient: 3 * gradient)
            return super().body(h_BTD)

    assert max(errors(Hooked, lambda model, rows: model(IDS[rows]), examples=3)) < 1e-10


def test_what_is_kept_from_an_earlier_pass_is_refused():
    """Ordinary training goes through a kept slice of a parameter again and again; here it would learn nothing."""

    class Keeps(Mixed):
        kept: Tensor | None = None

        def body(self, h_BTD: Tensor) -> Tensor:
            if self.kept is None:
                self.kept = self.scale[:, None].squeeze(1)
            return super().body(h_BTD * self.kept)

    model = made(Keeps, 0).double()
    recorded(model, whole)
    with pytest.raises(PreflightError, match="computed from scale was kept from a pass that is over"):
        recorded(model, whole)


def test_a_backward_pass_from_parameters_alone_is_refused():
    model = Mixed()
    with pytest.raises(PreflightError, match="scale meets a backward pass of its own"), recording(model, 3):
        (model.scale**2).sum().backward()


@pytest.mark.parametrize(("examples", "rows"), [(0, 1), (3, 0)])
def test_nothing_to_record(examples: int, rows: int):
    with (
        pytest.raises(InputError, match=f"examples is {examples} and rows_per_example is {rows}"),
        recording(Mixed(), examples, rows_per_example=rows),
    ):
        pass


@pytest.mark.parametrize("kernel", ["torch", None])
def test_autocast_around_the_backward_pass_rounds_no_norm(kernel: str | None):
    """What is added has the norm that was measured; products in half precision would be off by a hundredth."""
    model = made(Mixed, 0)
    measured: list[Tensor] = []

    def weigh(squared_LB: Tensor, example: int) -> Tensor:
        measured.append(squared_LB[0, example])
        return torch.eye(3)[example][None]

    with kernels.using(kernel) if kernel else nullcontext(), torch.autocast("cpu", torch.bfloat16):
        for example in range(3):
            with recording(model, 3) as tape:
                model(IDS).float().sum().backward()
            got: dict[str, Tensor] = {}
            add_recorded(tape, partial(weigh, example=example), into=got)
            added = torch.stack([gradient.square().sum() for gradient in got.values()]).sum()
            torch.testing.assert_close(measured.pop(), added, rtol=1e-5, atol=0)


def test_parameters_are_named_as_torch_names_them():
    """Walked by ourselves, since it is done twice a step: order, names, shared modules and shared parameters are those of torch."""
    shared, leaf = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    model = nn.ModuleDict({"a": nn.Sequential(shared, nn.ReLU(), leaf), "b": shared, "c": nn.ModuleList([leaf, nn.Embedding(3, 2)])})
    model["d"] = nn.Linear(2, 2, bias=False)
    model["d"].weight = leaf.weight
    model["b"].bias.requires_grad_(False)
    model.register_module("gone", None)
    model.own = nn.Parameter(torch.zeros(1))
    for one in (model, leaf):
        expected = [(name, parameter) for name, parameter in one.named_parameters() if parameter.requires_grad]
        found = list(trainable(one).items())
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert all(mine is theirs for (_, mine), (_, theirs) in zip(found, expected, strict=True))
