"""Rules for torch's recurrent functions, and for packed sequences, whose order of examples only the module knows.

Shapes: L layers, D directions, T steps, B rows (the examples, or several rows of each), E inputs, H hidden units, P outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from holdfast.privacy.engine import functions
from holdfast.privacy.engine.recurrent.cells import Cell, GRUCell, LSTMCell, PlainCell
from holdfast.privacy.engine.recurrent.walks import Layer, Plan
from holdfast.privacy.engine.tape import Tape

if TYPE_CHECKING:
    from holdfast.privacy.engine.meeting import Meeting

_CELLS: dict[str, Cell] = {"LSTM": LSTMCell(), "GRU": GRUCell(), "RNN_TANH": PlainCell(False), "RNN_RELU": PlainCell(True)}

States = list[Tensor]  # hidden states (L * D, B, P) and, of an LSTM, cells (L * D, B, H)


def packed_forward(module: nn.RNNBase, tape: Tape, input: Tensor | PackedSequence, hx: Any = None) -> Any:
    """Computes what `nn.LSTM`, `nn.GRU` or `nn.RNN` computes: of a packed sequence here, of a tensor by way of the function's rule.

    Rows are padded and put in their own order, each direction starts at a row's own end, and the result is packed again.
    """
    given = list(hx) if isinstance(hx, list | tuple) else [hx]
    if not isinstance(input, PackedSequence) or not any(map(tape.wants, [*module.parameters(), *given, input.data])):
        return type(module).forward(module, input, hx)
    x_BTE, lengths_B = pad_packed_sequence(input, batch_first=True)
    cell, directions = _CELLS[module.mode], 2 if module.bidirectional else 1
    if hx is None:
        shape = (module.num_layers * directions, len(x_BTE))
        states = [x_BTE.new_zeros(*shape, module.proj_size or module.hidden_size)]
        states += [x_BTE.new_zeros(*shape, module.hidden_size)] if cell.remembers else []
    else:
        states = given
    module.check_forward_args(input.data, tuple(states) if cell.remembers else states[0], input.batch_sizes)  # type: ignore[arg-type]  # as an LSTM does
    dropout = module.dropout if module.training else 0.0
    weights = cast("list[Tensor]", module._flat_weights)  # none of them is missing
    output_BTP, states = _layers(tape, cell, x_BTE, states, weights, module.bias, directions, dropout, lengths_B.to(x_BTE.device))
    if input.sorted_indices is not None:
        output_BTP, lengths_B = output_BTP[input.sorted_indices], lengths_B[input.sorted_indices.cpu()]
    data = pack_padded_sequence(output_BTP, lengths_B, batch_first=True).data
    packed = PackedSequence(data, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
    return packed, (tuple(states) if cell.remembers else states[0])


def _rule(kind: str) -> Callable[..., Any]:
    """The rule of `torch.lstm` and its like."""
    cell = _CELLS[kind]

    def rule(meeting: Meeting, input: Tensor, hx: Any, params: Any, *settings: Any) -> Any:
        if not isinstance(settings[0], bool):  # packed, in a function call of the user's own: the order of examples is unknown
            return NotImplemented
        if meeting.all_known([input, *(hx if cell.remembers else [hx])], {}):  # computed from parameters alone
            return NotImplemented
        has_biases, _, dropout, train, bidirectional, batch_first = settings
        directions, rate = 2 if bidirectional else 1, dropout if train else 0.0
        x_BTE = input if batch_first else input.transpose(0, 1)
        states = list(hx) if cell.remembers else [hx]
        output_BTP, states = _layers(meeting.tape, cell, x_BTE, states, list(params), has_biases, directions, rate, None)
        return (output_BTP if batch_first else output_BTP.transpose(0, 1), *states)

    return rule


def _layers(
    tape: Tape,
    cell: Cell,
    x_BTE: Tensor,
    states: States,
    parameters: list[Tensor],
    has_biases: bool,
    directions: int,
    dropout: float,
    lengths_B: Tensor | None,
) -> tuple[Tensor, States]:
    """Runs one layer after the other, with dropout between them."""
    if len(x_BTE) % tape.rows:
        tape.by_example(x_BTE)  # says what is wrong
    x_BTE, states = _owned(tape, x_BTE, axis=0), [_owned(tape, state, axis=1) for state in states]
    projected = 1 if states[0].shape[2] != parameters[1].shape[0] // cell.rows else 0
    biases = 2 if has_biases else 0
    count = 2 + biases + projected
    last: list[States] = []
    for layer in range(len(parameters) // (count * directions)):
        if layer:
            x_BTE = F.dropout(x_BTE, dropout, dropout > 0)
        flat: list[Tensor | None] = []
        for start in range(layer * directions * count, (layer + 1) * directions * count, count):
            found: list[Tensor | None] = [*parameters[start : start + count]]
            flat += [*found[:2], *(found[2 : 2 + biases] or [None, None]), *(found[2 + biases :] or [None])]
        first = [state[layer * directions : (layer + 1) * directions] for state in states]
        x_BTE, *ends = _layer(Plan(tape, cell, lengths_B), x_BTE, first, flat)
        last.append(ends)
    return x_BTE, [torch.cat(ends) if len(last) > 1 else ends[0] for ends in zip(*last, strict=True)]


def _layer(plan: Plan, x_BTE: Tensor, first: States, flat: Sequence[Tensor | None]) -> States:
    """Outputs and last states of one layer."""
    second_BTE = turned_BT = None
    if plan.lengths_B is not None and len(first[0]) == 2:
        places_T = torch.arange(x_BTE.shape[1], device=x_BTE.device)
        turned_BT = torch.where(places_T < plan.lengths_B[:, None], plan.lengths_B[:, None] - 1 - places_T, places_T)
        second_BTE = _rearranged(x_BTE, turned_BT)
    cells = first[1] if plan.cell.remembers else None
    output_BTP, hidden, last_cells = Layer.apply(plan, x_BTE, second_BTE, first[0], cells, *flat)
    if turned_BT is not None:
        forth_BTP, back_BTP = output_BTP.chunk(2, 2)
        output_BTP = torch.cat([forth_BTP, _rearranged(back_BTP, turned_BT)], 2)
    return [output_BTP, hidden, last_cells][: 3 if plan.cell.remembers else 2]


def _rearranged(x_BTD: Tensor, places_BT: Tensor) -> Tensor:
    return x_BTD.gather(1, places_BT[..., None].expand(-1, -1, x_BTD.shape[2]))


def _owned(tape: Tape, tensor: Tensor, *, axis: int) -> Tensor:
    """A tensor whose slices along an axis belong to the rows; if it came from parameters alone, it records by example."""
    if not tape.wants(tensor):
        return tensor
    if tensor.stride(axis) == 0 and not tape.is_parameter(tensor):  # one slice for all rows
        one = tape.derive(tensor.narrow(axis, 0, 1).movedim(axis, 0), names=[tape.name(tensor)])
        shape = (tensor.shape[axis], *one.shape[1:])
        return functions.PerExample.apply(tape, one, shape).movedim(0, axis)  # type: ignore[no-any-return]  # apply carries no types
    return functions.ByRow.apply(tape, tensor, axis)  # type: ignore[no-any-return]


def _plain_cell(squash: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def rule(meeting: Meeting, input: Tensor, hx: Tensor, *weights: Tensor | None) -> Tensor:
        by_input, by_hidden, _ = _products(meeting.tape, input, hx, weights)
        return squash(by_input + by_hidden)

    return rule


def _lstm_cell(meeting: Meeting, input: Tensor, hx: Sequence[Tensor], *weights: Tensor | None) -> tuple[Tensor, Tensor]:
    by_input, by_hidden, _ = _products(meeting.tape, input, hx[0], weights)
    i, f, g, o = (by_input + by_hidden).chunk(4, 1)
    cell_BH = f.sigmoid() * _owned(meeting.tape, hx[1], axis=0) + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell_BH.tanh(), cell_BH


def _gru_cell(meeting: Meeting, input: Tensor, hx: Tensor, *weights: Tensor | None) -> Tensor:
    by_input, by_hidden, hidden_BH = _products(meeting.tape, input, hx, weights)
    (r, z, n), (by_r, by_z, by_n) = by_input.chunk(3, 1), by_hidden.chunk(3, 1)
    new_BH = (n + (r + by_r).sigmoid() * by_n).tanh()
    return torch.lerp(new_BH, hidden_BH, (z + by_z).sigmoid())


def _products(tape: Tape, x_BE: Tensor, hidden_BH: Tensor, weights: Sequence[Tensor | None]) -> tuple[Tensor, Tensor, Tensor]:
    """What the weights of a single step make of its input and of its state, and the state."""
    if len(x_BE) % tape.rows:
        tape.by_example(x_BE)  # says what is wrong
    w_ih, w_hh, b_ih, b_hh = weights if len(weights) == 4 else (*weights, None, None)
    x_BE, hidden_BH = _owned(tape, x_BE, axis=0), _owned(tape, hidden_BH, axis=0)
    by_input = functions.Linear.apply(tape, x_BE, w_ih, b_ih, False)
    return by_input, functions.Linear.apply(tape, hidden_BH, w_hh, b_hh, False), hidden_BH


RECURRENT_RULES: dict[Any, Callable[..., Any]] = {
    torch.lstm: _rule("LSTM"),
    torch.gru: _rule("GRU"),
    torch.rnn_tanh: _rule("RNN_TANH"),
    torch.rnn_relu: _rule("RNN_RELU"),
    torch.lstm_cell: _lstm_cell,
    torch.gru_cell: _gru_cell,
    torch.rnn_tanh_cell: _plain_cell(torch.tanh),
    torch.rnn_relu_cell: _plain_cell(torch.relu),
}
"""Torch function to its rule."""
