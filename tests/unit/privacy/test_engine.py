"""The engine against single examples run alone, at shapes that hypothesis picks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import per_example as oracle
from torch import Tensor, nn

from holdfast.core.errors import PreflightError
from holdfast.privacy import Execution
from holdfast.privacy.engine import recording
from holdfast.privacy.sums import clip_weights, micro_batch, per_example, plain, squared_norms


class Tagger(nn.Module):
    """Embedding, convolution over characters, LSTM both ways, norm and linear: every rule that the BiLSTM needs."""

    def __init__(self, padding_idx: int | None = 0) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 5, padding_idx=padding_idx)
        self.characters = nn.Embedding(7, 3)
        self.convolution = nn.Conv1d(3, 4, 3, padding=1)
        self.forwards = nn.LSTM(9, 6, batch_first=True)
        self.backwards = nn.LSTM(9, 6, batch_first=True, bias=False)
        self.normal = nn.LayerNorm(12)
        self.head = nn.Linear(12, 4)

    def forward(self, ids_BT: Tensor, characters_BTL: Tensor) -> Tensor:
        examples, tokens, length = characters_BTL.shape
        letters = self.characters(characters_BTL).reshape(examples * tokens, length, 3)
        pooled = self.convolution(letters.mT).amax(2).reshape(examples, tokens, 4)
        x = torch.cat([self.words(ids_BT), pooled], 2)
        both = torch.cat([self.forwards(x)[0], self.backwards(x.flip(1))[0].flip(1)], 2)
        return self.head(self.normal(both)).tanh().sum((1, 2)) * 3


class Transformer(nn.Module):
    """Position embeddings of one row, summed embeddings, shared input of three projections, a vector head."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(11, 6), nn.Embedding(9, 6)
        self.query, self.key, self.value = (nn.Linear(6, 6, bias=bias) for bias in (True, False, True))
        self.normal = nn.LayerNorm(6, bias=False)
        self.head = nn.Linear(6, 1)

    def forward(self, ids_BT: Tensor, characters_BTL: Tensor) -> Tensor:
        x = self.words(ids_BT) + self.places(torch.arange(ids_BT.shape[1])[None])
        attention = torch.softmax(self.query(x) @ self.key(x).mT, 2) @ self.value(x)
        return self.head(self.normal(x + attention).amax(1)).squeeze(1).exp()


class Reused(nn.Module):
    """A linear layer, a norm and an LSTM used twice, and an embedding tied to the head: cross terms everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.block, self.normal, self.cell = nn.Linear(6, 6), nn.LayerNorm(6), nn.LSTM(6, 6, batch_first=True)
        self.head = nn.Linear(6, 11)
        self.head.weight = self.words.weight

    def forward(self, ids_BT: Tensor, characters_BTL: Tensor) -> Tensor:
        x = self.words(ids_BT)
        for _ in range(2):
            x = self.normal(self.block(x).tanh() + x)
            x = self.cell(x)[0]
        return self.head(x).logsumexp(2).sum(1)


class Frozen(Transformer):
    """Some parameters are frozen, in part of a layer only."""

    def __init__(self) -> None:
        super().__init__()
        for parameter in (self.words.weight, self.query.weight, self.value.bias):
            parameter.requires_grad_(False)


def data(examples: int, tokens: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 4, (examples, tokens), generator=generator)  # few ids, so that they repeat
    ids[0] = 0  # a row that is all padding
    return ids, torch.randint(0, 7, (examples, tokens, 3), generator=generator)


def clipped(model: nn.Module, losses_of, indices, *, clip_norm: float, execution: Execution) -> dict[str, Tensor]:
    return per_example(model, losses_of, indices, weigh=lambda squares: clip_weights(squares, clip_norm), execution=execution)


def losses(model: nn.Module, batch: tuple[Tensor, Tensor]):
    return lambda indices: model(batch[0][indices], batch[1][indices])


@pytest.mark.parametrize("make", [Tagger, Transformer, Reused, Frozen])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@settings(max_examples=12, deadline=None)
@given(examples=st.integers(1, 5), tokens=st.integers(1, 9), seed=st.integers(0, 99), quantile=st.floats(0, 2))
def test_norms_and_clipped_sums_equal_the_loop(make, dtype, tolerance, examples, tokens, seed, quantile):
    torch.manual_seed(seed)
    model = make().to(dtype)
    batch = data(examples, tokens, seed)
    reference = make().double()
    reference.load_state_dict(model.state_dict())
    alone = oracle.gradients(reference, lambda i: losses(reference, batch)(slice(i, i + 1)).sum(), examples)
    norms = torch.tensor([oracle.norm(one) for one in alone], dtype=torch.float64)

    measured = squared_norms(model, losses(model, batch), np.arange(examples)).sqrt()
    torch.testing.assert_close(measured.double(), norms, rtol=tolerance, atol=tolerance)

    clip_norm = float(norms.median()) * quantile + 1e-3
    for engine in ("book-keeping", "loop"):
        execution = Execution(physical_batch_size=3, engine=engine)
        got = clipped(model, losses(model, batch), np.arange(examples), clip_norm=clip_norm, execution=execution)
        want = oracle.clipped_sum(alone, clip_norm)
        scale = max(clip_norm, 1.0)
        for name, gradient in want.items():
            torch.testing.assert_close(got[name].double(), gradient, rtol=tolerance * 10, atol=tolerance * scale * 10)


def test_an_empty_batch_gives_zeros_for_every_trainable_parameter():
    model = Frozen()
    got = clipped(model, losses(model, data(2, 3, 0)), np.arange(0), clip_norm=1.0, execution=Execution())
    assert got.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(not gradient.any() for gradient in got.values())


def test_a_wrong_cross_term_would_be_seen(monkeypatch):
    """The shared weights of `Reused` have cross terms that matter: without them the norm is off by more than the tolerance."""
    torch.manual_seed(0)
    model, batch = Reused().double(), data(3, 4, 0)
    with recording(model, 3) as tape:
        losses(model, batch)(np.arange(3)).sum().backward()
    whole = tape.squared_norms()[0]
    with recording(model, 3) as tape, monkeypatch.context() as patch:
        patch.setattr("holdfast.privacy.engine.tape.inner_product", lambda one, other: torch.zeros(3))
        patch.setattr("holdfast.privacy.engine.tape.inner_product_with_dense", lambda one, other: torch.zeros(3))
        losses(model, batch)(np.arange(3)).sum().backward()
        without = tape.squared_norms()[0]
    assert ((whole - without).abs() / whole > 1e-3).all()  # a thousand times the tolerance above


def test_infinite_and_nan_gradients_weigh_nothing():
    class Explodes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x).squeeze(1).abs().sqrt()  # infinite slope where the output is 0

    model = Explodes()
    with torch.no_grad():
        model.head.bias.zero_()
    x = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    for engine in ("book-keeping", "loop"):
        run = {"clip_norm": 1.0, "execution": Execution(engine=engine)}
        both = clipped(model, lambda i: model(x[i]), np.arange(2), **run)
        second = clipped(model, lambda i: model(x[i]), np.array([1]), **run)
        assert all(torch.equal(both[name], second[name]) for name in both)
        assert all(gradient.isfinite().all() for gradient in both.values())


def test_the_model_is_left_as_it_was():
    model = Tagger()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with recording(model, 2):
        assert isinstance(model, Tagger)
        assert model.state_dict().keys() == before.keys()
    assert all("forward" not in vars(module) for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_forward_pass_computes_the_same():
    torch.manual_seed(1)
    for model in (Tagger().double(), Transformer().double(), Reused().double()):
        batch = data(3, 4, 1)
        plain = model(*batch)
        with recording(model, 3):
            watched = model(*batch)
        torch.testing.assert_close(watched, plain)


def test_an_overwritten_input_is_refused():
    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = x.clone()
            y = self.first(x)
            x.mul_(0)
            return self.second(y).sum(1)

    model, x = Overwrites(), torch.ones(2, 2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared_norms(model, lambda i: model(x[i]), np.arange(2))


def test_a_use_without_a_rule_names_the_parameter():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cdist(x[:, None], self.scale.expand(len(x), 1, 2)).flatten(1).sum(1)

    model, x = nn.Sequential(nn.Linear(2, 2), Own()), torch.randn(3, 2)
    with pytest.raises(PreflightError, match=r"1\.scale meets .*cdist"):
        squared_norms(model, lambda i: model(x[i]), np.arange(3))
    got = clipped(model, lambda i: model(x[i]), np.arange(3), clip_norm=0.1, execution=Execution(engine="loop"))
    want = oracle.clipped_sum(oracle.gradients(model, lambda i: model(x[i : i + 1]).sum(), 3), 0.1)
    for name in want:
        torch.testing.assert_close(got[name], want[name])


class Added(nn.Module):
    """Two parameters that are merely added up share one gradient tensor in autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return (x * (self.one + self.other)).sum(1)


def test_parameters_that_share_a_gradient_tensor_are_not_added_to_twice():
    model, x = Added(), torch.randn(6, 3)
    run = {"execution": Execution(physical_batch_size=2)}
    losses_of = lambda indices: model(x[indices])  # noqa: E731
    for got in (
        plain(model, losses_of, np.arange(6), **run),
        clipped(model, losses_of, np.arange(6), clip_norm=1e6, **run),
        micro_batch(model, losses_of, [np.arange(6)], divisor=1, thresholds=lambda sizes: dict.fromkeys(sizes, 1e6), **run),
    ):
        for name in ("one", "other"):
            torch.testing.assert_close(got[name], x.sum(0))
