"""LSTM, GRU and plain recurrent layers while recording: against torch's own, and against single examples run alone."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import per_example as oracle
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from holdfast.core.errors import PreflightError
from holdfast.core.randomness import Streams
from holdfast.privacy import Execution, PerExampleClipping, kernels
from holdfast.privacy.engine import recording
from holdfast.privacy.kernels import products
from holdfast.privacy.sums import clip_weights, per_example, squared_norms

WIDTH, HIDDEN = 4, 3
INITIAL = ("none", "given", "expanded", "repeated", "one axis less")


@dataclass(frozen=True)
class Form:
    """A layer and how it is used."""

    kind: str
    layers: int
    bidirectional: bool
    batch_first: bool
    bias: bool
    projected: bool
    packed: bool
    initial: str

    @property
    def outputs(self) -> int:
        return HIDDEN - 1 if self.projected and self.kind == "LSTM" else HIDDEN

    @property
    def depth(self) -> int:
        return self.layers * (2 if self.bidirectional else 1)

    def make(self) -> nn.RNNBase:
        options = {"num_layers": self.layers, "bidirectional": self.bidirectional, "batch_first": self.batch_first, "bias": self.bias}
        if self.kind == "LSTM":
            return nn.LSTM(WIDTH, HIDDEN, **options, proj_size=self.outputs if self.projected else 0)
        return nn.GRU(WIDTH, HIDDEN, **options) if self.kind == "GRU" else nn.RNN(WIDTH, HIDDEN, **options, nonlinearity=self.kind)


forms = st.builds(
    Form,
    kind=st.sampled_from(["LSTM", "GRU", "tanh", "relu"]),
    layers=st.integers(1, 3),
    initial=st.sampled_from(INITIAL),
    **dict.fromkeys(["bidirectional", "batch_first", "bias", "projected", "packed"], st.booleans()),
)


class Reader(nn.Module):
    """A linear layer, a recurrent one from one of several initial states, and losses of outputs and last states."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.first, self.layer = nn.Linear(WIDTH, WIDTH), form.make()
        self.head = nn.Linear(form.outputs * (2 if form.bidirectional else 1), 2)
        self.starts = nn.ParameterList([torch.randn(form.depth, 1, size) for size in (form.outputs, HIDDEN)])
        self.enter = nn.Linear(WIDTH, form.depth * HIDDEN)

    def forward(self, x_BTE: Tensor, lengths_B: Tensor) -> Tensor:
        """One loss for each example, (B,)."""
        output_BTP, states = self.run(x_BTE, lengths_B)
        places_T = torch.arange(1, output_BTP.shape[1] + 1, dtype=x_BTE.dtype)
        real_BT = (places_T <= lengths_B[:, None]) * places_T
        read_B = (self.head(output_BTP).sin().sum(2) * real_BT).sum(1)
        return read_B + sum((state * (state + k)).sum((0, 2)) for k, state in enumerate(states, start=1))

    def run(self, x_BTE: Tensor, lengths_B: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs, batch first, and states."""
        x_BTE = self.before(x_BTE)
        x = x_BTE if self.form.batch_first else x_BTE.transpose(0, 1)
        if self.form.packed:
            in_order = bool((lengths_B.diff() <= 0).all())  # then the packed sequence keeps no order of its own
            x = pack_padded_sequence(x, lengths_B, batch_first=self.form.batch_first, enforce_sorted=in_order)
        output, states = self.layer(x, self.initial(x_BTE))
        if isinstance(output, PackedSequence):
            output, found_B = pad_packed_sequence(output, batch_first=True)
            assert torch.equal(found_B, lengths_B)
        else:
            output = output if self.form.batch_first else output.transpose(0, 1)
        return output, list(states) if self.form.kind == "LSTM" else [states]

    def before(self, x_BTE: Tensor) -> Tensor:
        return self.first(x_BTE).tanh()

    def initial(self, x_BTE: Tensor) -> Tensor | tuple[Tensor, ...] | None:
        rows = len(x_BTE)
        if self.form.initial == "none":
            return None
        if self.form.initial == "given":
            entered = self.enter(x_BTE[:, 0]).view(rows, self.form.depth, HIDDEN).transpose(0, 1)
            states = [entered[..., : self.form.outputs].contiguous(), entered.contiguous()]
        elif self.form.initial == "expanded":
            states = [start.expand(-1, rows, -1) for start in self.starts]
        elif self.form.initial == "repeated":
            states = [start.repeat(1, rows, 1) for start in self.starts]
        else:
            states = [start.squeeze(1)[:, None].expand(-1, rows, -1).contiguous() for start in self.starts]
        return tuple(states) if self.form.kind == "LSTM" else states[0]


def batch(form: Form, examples: int, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, steps, WIDTH, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, steps + 1, (examples,), generator=generator) if form.packed else torch.full((examples,), steps)
    return x, lengths


def alone(model: Reader, x: Tensor, lengths: Tensor) -> list[dict[str, Tensor]]:
    """The gradient of each example, run alone without its padding by torch's own layer, in float64."""
    form = Form(**{**vars(model.form), "packed": False})
    reference = type(model)(form).double()
    reference.load_state_dict(model.state_dict())
    for name, parameter in model.named_parameters():
        reference.get_parameter(name).requires_grad_(parameter.requires_grad)
    return oracle.gradients(reference, lambda i: reference(x[i : i + 1, : lengths[i]], lengths[i : i + 1]).sum(), len(x))


def check(model: Reader, x: Tensor, lengths: Tensor, tolerance: float) -> None:
    wanted = alone(model, x, lengths)
    x = x.to(next(model.parameters()).dtype)
    norms = torch.tensor([oracle.norm(one) for one in wanted], dtype=torch.float64)
    clip_norm = float(norms.median()) * 0.8 + 1e-3
    seen = []

    def weigh(squares_LB: Tensor) -> Tensor:
        seen.append(squares_LB)
        return clip_weights(squares_LB, clip_norm)

    got = per_example(model, lambda i: model(x[i], lengths[i]), np.arange(len(x)), weigh=weigh, execution=Execution())
    torch.testing.assert_close(seen[0][0].double().sqrt(), norms, rtol=tolerance, atol=tolerance)
    for name, gradient in oracle.clipped_sum(wanted, clip_norm).items():
        torch.testing.assert_close(got[name].double(), gradient, rtol=tolerance, atol=tolerance * max(clip_norm, 1.0), msg=name)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@settings(max_examples=40, deadline=None)
@given(form=forms, examples=st.integers(1, 4), steps=st.integers(1, 5), seed=st.integers(0, 99))
def test_norms_and_clipped_sums_equal_the_loop(implementation, dtype, tolerance, form, examples, steps, seed):
    torch.manual_seed(seed)
    check(Reader(form).to(dtype), *batch(form, examples, steps, seed), tolerance)


@settings(max_examples=40, deadline=None)
@given(form=forms, examples=st.integers(1, 3), steps=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_any_part_of_a_layer_may_be_frozen(form, examples, steps, seed, data):
    torch.manual_seed(seed)
    model = Reader(form).double()
    for parameter in model.layer.parameters():
        parameter.requires_grad_(data.draw(st.booleans()))
    check(model, *batch(form, examples, steps, seed), 1e-10)


class Twice(Reader):
    """The layer reads what it wrote."""

    def run(self, x_BTE: Tensor, lengths_B: Tensor) -> tuple[Tensor, list[Tensor]]:
        output_BTP, _ = super().run(x_BTE, lengths_B)
        return super().run(torch.cat([output_BTP, output_BTP.flip(2)], 2)[..., :WIDTH] * 2, lengths_B)


@settings(max_examples=20, deadline=None)
@given(form=forms, examples=st.integers(1, 3), steps=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_layer_may_be_used_twice(form, examples, steps, seed):
    torch.manual_seed(seed)
    check(Twice(form).double(), *batch(form, examples, steps, seed), 1e-10)


class Bare(Reader):
    """The layer reads the input itself."""

    def before(self, x_BTE: Tensor) -> Tensor:
        return x_BTE


def strided(x: Tensor, layout: str) -> Tensor:
    """The same values, laid out in memory in another order or with gaps."""
    if layout == "turned":
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    return torch.stack([x, x], 3)[..., 0] if layout == "gaps" else x.contiguous()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@settings(max_examples=40, deadline=None)
@given(
    form=forms,
    examples=st.integers(1, 4),
    steps=st.integers(1, 5),
    seed=st.integers(0, 99),
    layout=st.sampled_from(["dense", "turned", "gaps"]),
)
def test_outputs_states_and_the_gradients_of_inputs_are_those_of_torch(
    implementation, dtype, tolerance, form, examples, steps, seed, layout
):
    torch.manual_seed(seed)
    model = Bare(form).to(dtype)
    found = []
    for watched in (False, True):
        x, lengths = batch(form, examples, steps, seed)
        x = strided(x.to(dtype), layout).requires_grad_()
        with recording(model, examples) if watched else torch.enable_grad():
            output, states = model.run(x, lengths)
            weighed = output * torch.linspace(-1, 1, output.shape[1], dtype=dtype)[:, None]
            (weighed.sum() + sum(state.sin().sum() for state in states)).backward()
        found.append([output, *states, x.grad])
    for plain, seen in zip(*found, strict=True):
        assert plain.shape == seen.shape
        torch.testing.assert_close(seen, plain, rtol=tolerance * 10, atol=tolerance)


def plain_form(kind: str = "LSTM", **changes: bool | int | str) -> Form:
    usual = {"layers": 1, "bidirectional": True, "batch_first": True, "bias": True, "projected": False, "packed": False, "initial": "none"}
    return Form(kind=kind, **{**usual, **changes})


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "tanh"])
def test_dropout_stands_between_layers_and_nowhere_else(kind):
    torch.manual_seed(0)
    model, (x, lengths) = Reader(plain_form(kind, layers=3)).double(), batch(plain_form(), 3, 4, 0)
    model.layer.dropout = 1.0  # nothing passes, whatever numbers are drawn
    for mode in (True, False):
        model.train(mode)
        with recording(model, 3):
            seen = model(x, lengths)
        torch.testing.assert_close(seen, model(x, lengths))
    model.train().layer.dropout = 0.5
    with recording(model, 3):
        assert not torch.equal(model(x, lengths), model(x, lengths))


def test_rows_of_one_user_count_together():
    torch.manual_seed(0)
    model, (x, lengths) = Reader(plain_form(initial="expanded", packed=True)).double(), batch(plain_form(packed=True), 6, 4, 0)
    rows = alone(model, x, lengths)
    users = [{name: rows[i][name] + rows[i + 1][name] for name in rows[i]} for i in (0, 2, 4)]
    with recording(model, 3, rows_per_example=2) as tape:
        model(x, lengths).sum().backward()
    torch.testing.assert_close(tape.squared_norms()[0].sqrt(), torch.tensor([oracle.norm(user) for user in users], dtype=torch.float64))


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_not_finite_stays_with_its_example(packed):
    torch.manual_seed(0)
    form = plain_form(packed=packed, layers=2)
    model, (x, lengths) = Reader(form), batch(form, 3, 4, 0)
    x = x.float()
    whole = squared_norms(model, lambda i: model(x[i], lengths[i]), np.array([0, 2]))
    x[1, 0, 0] = float("inf")
    with recording(model, 3) as tape:
        model(x, lengths).nan_to_num().sum().backward()
    seen = tape.squared_norms()[0]
    assert not seen[1].isfinite()
    torch.testing.assert_close(seen[[0, 2]], whole)


def test_another_backward_pass_may_follow_over_the_same_graph():
    torch.manual_seed(0)
    for kind in ("LSTM", "GRU", "relu"):
        model, (x, lengths) = Reader(plain_form(kind)), batch(plain_form(), 3, 4, 0)
        with recording(model, 3) as tape:
            loss = model(x.float(), lengths).sum()
            loss.backward(retain_graph=True)
            first = tape.squared_norms()
            tape.rewind()
            loss.backward()
            torch.testing.assert_close(tape.squared_norms(), first, rtol=0, atol=0)


def test_an_output_that_was_overwritten_is_refused_where_it_is_needed():
    torch.manual_seed(0)
    x = torch.randn(2, 3, WIDTH)
    one, both = nn.LSTM(WIDTH, HIDDEN, batch_first=True), nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
    with recording(both, 2) as tape:
        both(x)[0].relu_().sum().backward()
    torch.testing.assert_close(tape.squared_norms()[0], squared_norms(both, lambda i: both(x[i])[0].relu().sum((1, 2)), np.arange(2)))
    with pytest.raises(RuntimeError, match="modified inplace"), recording(one, 2):  # as with torch alone
        one(x)[0].relu_().sum().backward()


def test_the_two_matrices_of_a_direction_share_a_gram(monkeypatch):
    """Twice the work otherwise, and twice the memory traffic."""
    seen, gram_norms = [], kernels.gram_norms
    monkeypatch.setattr(
        kernels, "gram_norms", lambda inputs, grads, **options: seen.append((inputs, grads)) or gram_norms(inputs, grads, **options)
    )
    model = nn.LSTM(40, 30, batch_first=True, bidirectional=True)
    for x in (torch.randn(2, 3, 40), torch.randn(3, 2, 40).transpose(0, 1)):
        seen.clear()
        squared_norms(model, lambda i, x=x: model(x[i] if x.is_contiguous() else x)[0].sum((1, 2)), np.arange(2))
        assert [(len(inputs), len(grads)) for inputs, grads in seen] == [(2, 1), (2, 1)]
        assert all(tensor.stride(2) == 1 for inputs, grads in seen for tensor in (*inputs, *grads))


class Renamed(nn.LSTM):
    """A subclass that changes nothing."""


class Doubled(nn.GRU):
    """A subclass with a forward pass of its own around torch's."""

    def forward(self, input, hx=None):
        output, state = super().forward(input, hx)
        return output * 2, state


@pytest.mark.parametrize("kind", [Renamed, Doubled])
def test_subclasses(kind):
    torch.manual_seed(0)
    model, x = kind(WIDTH, HIDDEN, batch_first=True).double(), torch.randn(3, 4, WIDTH, dtype=torch.float64)
    wanted = [oracle.norm(one) for one in oracle.gradients(model, lambda i: model(x[i : i + 1])[0].exp().sum(), 3)]
    seen = squared_norms(model, lambda i: model(x[i])[0].exp().sum((1, 2)), np.arange(3)).sqrt()
    torch.testing.assert_close(seen, torch.tensor(wanted, dtype=torch.float64))


def test_learned_states_of_single_rows():
    """Each row has a state of its own, so a row that is mistaken for another shows."""

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.start = nn.GRU(WIDTH, HIDDEN, batch_first=True), nn.Parameter(torch.randn(1, 3, HIDDEN))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x, self.start * torch.arange(1, len(x) + 1)[:, None])[0].sin().sum((1, 2))

    torch.manual_seed(0)
    model, x = Rows().double(), torch.randn(3, 4, WIDTH, dtype=torch.float64)
    wanted = [oracle.norm(one) for one in oracle.gradients(model, lambda i: model(x)[i], 3)]
    with recording(model, 3) as tape:
        (model(x) * torch.ones(3)).sum().backward()
    torch.testing.assert_close(tape.squared_norms()[0].sqrt(), torch.tensor(wanted, dtype=torch.float64))


class Stepwise(nn.Module):
    """One step after the other, by a cell; the first state is learned."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = nn.RNNCell(WIDTH, HIDDEN, nonlinearity=kind) if kind in ("tanh", "relu") else getattr(nn, f"{kind}Cell")(WIDTH, HIDDEN)
        self.start = nn.Parameter(torch.randn(1, HIDDEN))

    def forward(self, x_BTE: Tensor) -> Tensor:
        first = self.start.expand(len(x_BTE), -1)
        state = (first, first * 2) if isinstance(self.cell, nn.LSTMCell) else first
        losses = torch.zeros(len(x_BTE), dtype=x_BTE.dtype)
        for x_BE in x_BTE.unbind(1):
            state = self.cell(x_BE, state)
            losses = losses + (state[0] if isinstance(state, tuple) else state).sin().sum(1)
        return losses


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "tanh", "relu"])
@pytest.mark.parametrize(("examples", "steps"), [(1, 1), (3, 1), (1, 4), (3, 4)])
def test_cells(kind, examples, steps):
    torch.manual_seed(0)
    model, x = Stepwise(kind).double(), torch.randn(examples, steps, WIDTH, dtype=torch.float64)
    plain = model(x)
    with recording(model, examples):
        torch.testing.assert_close(model(x), plain)
    wanted = [oracle.norm(one) for one in oracle.gradients(model, lambda i: model(x[i : i + 1]).sum(), examples)]
    seen = squared_norms(model, lambda i: model(x[i]), np.arange(examples)).sqrt()
    torch.testing.assert_close(seen, torch.tensor(wanted, dtype=torch.float64))


def test_what_is_refused():
    layer, x = nn.LSTM(WIDTH, HIDDEN), torch.randn(5, WIDTH)
    with pytest.raises(PreflightError, match="a layer saw 1 rows, no multiple of 2 examples"), recording(layer, 2):
        layer(x)  # one sentence without an axis of examples
    with pytest.raises(PreflightError, match="a layer saw 3 rows, no multiple of 2 examples"), recording(layer, 2):
        layer(torch.randn(2, 3, WIDTH))  # positions come first
    packed, doubled = pack_padded_sequence(torch.randn(2, 2, WIDTH), torch.tensor([2, 1])), Doubled(WIDTH, HIDDEN)
    with pytest.raises(PreflightError, match=r"weight_hh_l0.* meets .*gru"), recording(doubled, 2):
        doubled(packed)  # which row is which example, only the module itself would know


def test_states_of_another_size_are_refused():
    layer, packed = nn.LSTM(WIDTH, HIDDEN), pack_padded_sequence(torch.randn(2, 3, WIDTH), torch.tensor([2, 2, 1]))
    for watched in (torch.enable_grad(), recording(layer, 3)):
        with pytest.raises(RuntimeError, match=r"Expected hidden|broadcast shape"), watched:
            layer(packed, (torch.zeros(1, 1, HIDDEN), torch.zeros(1, 1, HIDDEN)))


def test_half_the_precision():
    """Gates are computed in the precision of the weights, whatever the autocast, and norms in single precision."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LSTM(WIDTH, HIDDEN, batch_first=True)), torch.randn(3, 4, WIDTH)
    whole = squared_norms(model, lambda i: model(x[i])[0].sum((1, 2)), np.arange(3))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = squared_norms(model, lambda i: model(x[i])[0].float().sum((1, 2)), np.arange(3))
    torch.testing.assert_close(mixed, whole, rtol=0.1, atol=0.1)
    half = squared_norms(model.bfloat16(), lambda i: model(x[i].bfloat16())[0].float().sum((1, 2)), np.arange(3))
    assert half.dtype is torch.float32
    torch.testing.assert_close(half, whole, rtol=0.2, atol=0.2)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_products_of_onednn_change_nothing(monkeypatch, batch_first, bias):
    """Large layers take them on some processors; here small ones do everywhere: one input, padded rows, and sums over parts."""
    torch.manual_seed(0)
    layer = nn.LSTM(WIDTH, HIDDEN, batch_first=batch_first, bidirectional=True, bias=bias, num_layers=2)
    x = torch.randn(6, 4, WIDTH)
    clipper = PerExampleClipping(clip_norm=0.5)

    def losses(indices: np.ndarray) -> torch.Tensor:
        part = x[indices]
        out = layer(part)[0].sum((1, 2)) if batch_first else layer(part.transpose(0, 1))[0].sum((0, 2))
        packed = pack_padded_sequence(part, torch.tensor([4, 3, 2][: len(part)]), batch_first=True)
        return out + pad_packed_sequence(layer(packed)[0], batch_first=True)[0].square().sum((1, 2)) if batch_first else out

    found = []
    for multiply in (None, torch.ops.mkldnn._linear_pointwise.default):
        monkeypatch.setattr(products, "SMALLEST", 1)
        monkeypatch.setattr(products, "_onednn", lambda multiply=multiply: multiply)
        execution = Execution(physical_batch_size=3)
        found.append(clipper.clipped_sum(layer, losses, np.arange(6), streams=Streams(0), step=0, execution=execution))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(found[1][name], gradient) for name, gradient in found[0].items())  # they did take part
