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

from holdfast.privacy import Execution
from holdfast.privacy.sums import clip_weights, per_example

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
        x_BTE = self.first(x_BTE).tanh()
        x = x_BTE if self.form.batch_first else x_BTE.transpose(0, 1)
        if self.form.packed:
            x = pack_padded_sequence(x, lengths_B, batch_first=self.form.batch_first, enforce_sorted=False)
        output, states = self.layer(x, self.initial(x_BTE))
        if isinstance(output, PackedSequence):
            output, found_B = pad_packed_sequence(output, batch_first=True)
            assert torch.equal(found_B, lengths_B)
        else:
            output = output if self.form.batch_first else output.transpose(0, 1)
        return output, list(states) if self.form.kind == "LSTM" else [states]

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
    reference = Reader(form).double()
    reference.load_state_dict(model.state_dict())
    for name, parameter in model.named_parameters():
        reference.get_parameter(name).requires_grad_(parameter.requires_grad)
    found = oracle.gradients(reference, lambda i: reference(x[i : i + 1, : lengths[i]], lengths[i : i + 1]).sum(), len(x))
    return found


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
@settings(max_examples=60, deadline=None)
@given(form=forms, examples=st.integers(1, 4), steps=st.integers(1, 5), seed=st.integers(0, 99))
def test_norms_and_clipped_sums_equal_the_loop(implementation, dtype, tolerance, form, examples, steps, seed):
    torch.manual_seed(seed)
    check(Reader(form).to(dtype), *batch(form, examples, steps, seed), tolerance)
