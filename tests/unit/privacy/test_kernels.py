"""Each kernel against a plain loop or autograd in float64, in every implementation that this machine has."""

import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.privacy import kernels
from holdfast.privacy.kernels import native
from holdfast.privacy.kernels import products as products_module

CORE = Path(native.__file__).parent / "core"


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def products(inputs: Sequence[Tensor], grads: Sequence[Tensor], ids: Sequence[Tensor] = (), rows: int = 7) -> Tensor:
    """Squared norms of the products and tables themselves, in float64."""
    found = torch.zeros(len(grads[0]), dtype=torch.float64)
    for g in (grad.double() for grad in grads):
        for a in inputs:
            found += torch.bmm(g.mT, a.double()).square().sum((1, 2))
        for one in ids:
            table = torch.zeros(len(g), rows, g.shape[2], dtype=torch.float64)
            table.scatter_add_(1, one[..., None].expand_as(g), g)
            found += table.square().sum((1, 2))
    return found


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 2e-6) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=tolerance, atol=tolerance * float(expected.abs().max()))


SHAPES = [  # (B, T, D, P): widths around the vectors, lengths around the tiles
    *[(3, 5, 7, 9), (2, 1, 16, 1), (1, 4, 1, 33), (2, 63, 15, 17), (2, 64, 16, 16), (1, 65, 31, 5), (2, 129, 12, 300)],
    *[(1, 2, 513, 1030), (2, 3, 65_537, 2)],  # wider than a slice, wider than 65,536 with a length that 4 does not divide
]


@pytest.mark.parametrize(("examples", "length", "d", "p"), SHAPES)
def test_gram_norms_are_those_of_the_products(implementation, examples, length, d, p):
    a, g = normal(examples, length, d), normal(examples, length, p, seed=1)
    ids = torch.randint(0, 7, (examples, length), generator=torch.Generator().manual_seed(2))
    for inputs, id_lists in (([a], []), ([a], [ids]), ([], [ids, ids.flip(1)]), ([a, a + 1], [])):
        norms, _, sums = kernels.gram_norms(inputs, [g], ids=id_lists, column_sums=[True])
        assert_close(norms, products(inputs, [g], id_lists))
        assert_close(sums[0], g.sum(1), 1e-5)


def test_the_diagonal_is_what_single_rows_are_worth(implementation):
    """It tells a gradient that is small from one in which large parts cancel."""
    a, g = normal(2, 70, 9), normal(2, 70, 11, seed=1)
    ids = torch.arange(70).repeat(2, 1) // 2
    rows = a.double().square().sum(2) * g.double().square().sum(2)
    assert_close(kernels.gram_norms([a], [g]).diagonal_B, rows.sum(1))
    assert_close(kernels.gram_norms([a], [g], ids=[ids]).diagonal_B, (rows + g.double().square().sum(2)).sum(1))
    assert_close(kernels.gram_norms([], [g], ids=[ids, ids]).diagonal_B, 2 * g.double().square().sum((1, 2)))
    mirrored = torch.cat([a, a], 1), torch.cat([g, -g], 1)
    found = kernels.gram_norms([mirrored[0]], [mirrored[1]])
    assert_close(found.diagonal_B, 2 * rows.sum(1))
    assert bool((found.squared_B.abs() < 1e-6 * found.diagonal_B).all())


def test_gram_norms_of_several_gradients_share_one_pass(implementation):
    a, grads = normal(4, 6, 8), [normal(4, 6, width, seed=width) for width in (5, 16, 600)]
    norms, _, sums = kernels.gram_norms([a], grads, column_sums=[True, False, True])
    assert_close(norms, products([a], grads))
    assert [one is not None for one in sums] == [True, False, True]


def test_gram_norms_follow_strides(implementation):
    wide = normal(6, 2, 40)
    a, g = wide.transpose(0, 1)[:, :, 3:20], wide.transpose(0, 1)[:, :, 20:]  # rows of one example far apart
    assert not a.is_contiguous()
    assert_close(kernels.gram_norms([a], [g])[0], products([a], [g]))
    columns, shared = normal(3, 9, 5).mT, normal(1, 5, 4).expand(3, 5, 4)  # values of a row far apart, one memory for all examples
    assert_close(kernels.gram_norms([columns], [shared])[0], products([columns], [shared]))
    a, one = normal(2, 3, 4), torch.ones(1).expand(2, 3, 5)
    assert_close(kernels.gram_norms([a], [one])[0], products([a], [one]))


@pytest.mark.parametrize(("examples", "length", "width"), [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_gram_norms_of_nothing_are_zero(implementation, examples, length, width):
    norms, _, sums = kernels.gram_norms([torch.ones(examples, length, 3)], [torch.ones(examples, length, width)], column_sums=[True])
    assert torch.equal(norms, torch.zeros(examples))
    assert torch.equal(sums[0], torch.zeros(examples, width))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("length", [3, 70])
def test_a_bad_value_spoils_its_own_example_alone(implementation, bad, length):
    a, g = normal(3, length, 20), normal(3, length, 18, seed=1)
    ids = torch.zeros(3, length, dtype=torch.int64)
    spoilt = g.clone()
    spoilt[1, -1, -1] = bad
    for inputs, grads, id_lists in (([a], [spoilt], []), ([], [spoilt], [ids]), ([spoilt], [a], [])):
        norms, _, sums = kernels.gram_norms(inputs, grads, ids=id_lists, column_sums=[True])
        inputs, grads = ([g if x is spoilt else x for x in tensors] for tensors in (inputs, grads))
        clean, _, clean_sums = kernels.gram_norms(inputs, grads, ids=id_lists, column_sums=[True])
        assert not torch.isfinite(norms[1])
        assert torch.equal(norms[[0, 2]], clean[[0, 2]])
        assert torch.equal(sums[0][[0, 2]], clean_sums[0][[0, 2]])
        assert grads[0] is a or not torch.isfinite(sums[0][1, -1])


def test_rows_of_zeros_add_nothing(implementation):
    a, g = normal(2, 9, 5), normal(2, 9, 5, seed=1)
    g[:, 4:] = 0
    assert_close(kernels.gram_norms([a], [g])[0], products([a[:, :4]], [g[:, :4]]))
    assert torch.equal(kernels.gram_norms([a], [torch.zeros_like(g)])[0], torch.zeros(2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_go_to_the_twin(implementation, dtype):
    a, g = normal(2, 3, 4).to(dtype), normal(2, 3, 4, seed=1).to(dtype)
    norms, _, sums = kernels.gram_norms([a], [g], column_sums=[True])
    assert norms.dtype == sums[0].dtype == torch.promote_types(dtype, torch.float32)
    assert_close(norms, products([a], [g]))


def test_gram_norms_refuse_shapes_that_do_not_fit(implementation):
    a = torch.ones(2, 3, 4)
    for inputs, grads, ids in (([a], [a[:1]], []), ([a], [a[:, :2]], []), ([a[0]], [a[0]], []), ([], [a], [torch.zeros(2, 2).long()])):
        with pytest.raises(InputError, match="different examples or lengths"):
            kernels.gram_norms(inputs, grads, ids=ids)
    with pytest.raises(InputError, match="at least one tensor"):
        kernels.gram_norms([a], [])
    with pytest.raises(InputError, match="1 entries for 2"):
        kernels.gram_norms([a], [a, a], column_sums=[True])


def test_results_do_not_depend_on_the_number_of_threads(implementation):
    a, g = normal(3, 150, 20), normal(3, 150, 40, seed=1)
    x, statistics = normal(30, 600), (torch.zeros(30), torch.ones(30))
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            norms, _, sums = kernels.gram_norms([a], [g], column_sums=[True])
            found.append([norms, *sums, *kernels.layer_norm_backward(x, x, torch.ones(600), *statistics, examples=10)])
        finally:
            torch.set_num_threads(1)
    same = torch.equal if implementation != "torch" else torch.allclose
    assert all(same(one, other) for one, other in zip(found[0] * 2, found[1] + found[2], strict=True))


@pytest.mark.parametrize(("examples", "length", "width"), [(1, 1, 1), (3, 5, 7), (2, 4, 64), (4, 1, 131), (0, 2, 3)])
def test_layer_norm_backward_is_autograds(implementation, examples, length, width):
    x, g, weight = normal(examples, length, width), normal(examples, length, width, seed=1), normal(width, seed=2)
    _, mean, rstd = torch.native_layer_norm(x, (width,), weight, None, 1e-5)
    found = kernels.layer_norm_backward(x, g, weight, mean, rstd, examples=examples)
    exact, scale, shift = (t.double().requires_grad_() for t in (x, weight.expand(examples, width), torch.zeros(examples, width)))
    normalised = torch.nn.functional.layer_norm(exact, (width,), eps=1e-5)
    expected = torch.autograd.grad(normalised * scale[:, None] + shift[:, None], (exact, scale, shift), g.double())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)
    assert found[0].shape == x.shape


def test_layer_norm_backward_takes_rows_in_any_layout(implementation):
    x, g, weight = normal(6, 2, 8).transpose(0, 1), normal(1, 8).expand(2, 6, 8), normal(8, seed=2)
    _, mean, rstd = torch.native_layer_norm(x, (8,), weight, None, 1e-5)
    strided = kernels.layer_norm_backward(x, g, weight, mean, rstd, examples=2)
    flat = kernels.layer_norm_backward(x.reshape(12, 8), g.reshape(12, 8), weight, mean.flatten(), rstd.flatten(), examples=2)
    assert torch.equal(strided[0].reshape(12, 8), flat[0])
    assert torch.equal(torch.stack(strided[1:]), torch.stack(flat[1:]))


def test_layer_norm_backward_keeps_bad_values_apart(implementation):
    x, g = normal(3, 2, 20), normal(3, 2, 20, seed=1)
    g[1, 0, 3] = float("nan")
    _, mean, rstd = torch.native_layer_norm(x, (20,), None, None, 1e-5)
    found = kernels.layer_norm_backward(x, g, torch.ones(20), mean, rstd, examples=3)
    assert all(torch.isfinite(one[[0, 2]]).all() and not torch.isfinite(one[1]).all() for one in found)


def test_layer_norm_backward_refuses_shapes_that_do_not_fit(implementation):
    x, one = torch.ones(4, 3), torch.ones(4)
    with pytest.raises(InputError, match="not 3 examples of one length"):
        kernels.layer_norm_backward(x, x, torch.ones(3), one, one, examples=3)
    for wrong in ((x, x[:2], torch.ones(3), one, one), (x, x, torch.ones(2), one, one), (x, x, torch.ones(3), one[:1], one)):
        with pytest.raises(InputError, match="must be"):
            kernels.layer_norm_backward(*wrong, examples=2)


def gates_and_states(*shape: int) -> list[Tensor]:
    """Gates and four states, as single steps of buffers (D, T, B, H): strided, and interleaved."""
    directions, examples, width = shape
    gates = normal(directions, 3, examples, 4 * width, seed=3)[:, 1]
    states = normal(directions, 5, examples, width, seed=4)
    return [gates * 3, *states.unbind(1)][:5]


def forward_in_float64(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    i, f, g, o = gates.chunk(4, -1)
    activations = (i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid())
    new = activations[1] * cell + activations[0] * activations[2]
    return torch.cat(activations, -1), new, activations[3] * new.tanh()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (1, 4, 16), (2, 64, 67), (1, 0, 3)])
def test_lstm_steps_are_autograds(implementation, shape):
    gates, cell, next_cell, hidden, cell_grad = gates_and_states(*shape)
    before, exact_cell = gates.double().requires_grad_(), cell.double().requires_grad_()
    expected = forward_in_float64(before, exact_cell)
    kernels.lstm_forward_step(gates, cell, next_cell, hidden)
    for found, exact in zip((gates, next_cell, hidden), expected, strict=True):
        torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)
    hidden_grad = normal(*shape, seed=5)
    deltas, cell_grads = torch.autograd.grad(expected[1:], (before, exact_cell), (cell_grad.double(), hidden_grad.double()))
    kernels.lstm_backward_step(gates, cell, next_cell, hidden_grad, cell_grad)
    torch.testing.assert_close(gates.double(), deltas, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(cell_grad.double(), cell_grads, rtol=1e-5, atol=2e-6)


def test_activations_are_accurate_everywhere(implementation):
    x = torch.cat(
        [torch.linspace(-100, 100, 200_001), torch.logspace(-30, 2, 1000), torch.tensor([0.0, -0.0, float("inf"), -float("inf")])]
    )
    gates = x.expand(1, 4, len(x)).reshape(1, 1, -1).clone()
    states = [torch.zeros(1, 1, len(x)) for _ in range(3)]
    kernels.lstm_forward_step(gates, *states)
    i, f, g, o = gates[0, 0].double().chunk(4)
    for found, exact in ((i, x.double().sigmoid()), (f, x.double().sigmoid()), (o, x.double().sigmoid()), (g, x.double().tanh())):
        assert float((found - exact).abs().max()) < 2e-7
    small = x.abs() < 1
    torch.testing.assert_close(g[small], x.double().tanh()[small], rtol=5e-7, atol=0)


def test_lstm_steps_keep_bad_values_apart(implementation):
    gates, cell, next_cell, hidden, cell_grad = gates_and_states(1, 3, 20)
    gates[0, 1, 7] = float("nan")
    kernels.lstm_forward_step(gates, cell, next_cell, hidden)
    assert torch.isnan(hidden).nonzero().tolist() == [[0, 1, 7]]
    kernels.lstm_backward_step(gates, cell, next_cell, hidden, cell_grad)
    assert set(torch.isnan(gates).nonzero()[:, 1].tolist()) == {1}


def test_lstm_steps_take_any_strides_and_overlaps(implementation):
    expected = gates_and_states(2, 3, 5)
    kernels.lstm_forward_step(*expected[:4])
    turned = [x.transpose(0, 2).contiguous().transpose(0, 2) for x in gates_and_states(2, 3, 5)]  # values of a row far apart
    kernels.lstm_forward_step(*turned[:4])
    gates, cell, _, hidden, _ = gates_and_states(2, 3, 5)
    kernels.lstm_forward_step(gates, cell, cell, hidden)  # the next cell state in place of the last
    for found in (turned, [gates, None, cell, hidden]):
        assert all(torch.allclose(found[k], expected[k], rtol=1e-6, atol=1e-6) for k in (0, 2, 3))


def test_lstm_steps_refuse_shapes_that_do_not_fit(implementation):
    gates, cell, next_cell, hidden, cell_grad = gates_and_states(2, 3, 5)
    for wrong in (
        (gates[..., :15], cell, next_cell, hidden),
        (gates, cell, next_cell[:1], hidden),
        (gates[0], cell[0], next_cell[0], hidden[0]),
    ):
        with pytest.raises(InputError, match="gates are"):
            kernels.lstm_forward_step(*wrong)
    with pytest.raises(InputError, match="gates are"):
        kernels.lstm_backward_step(gates, cell, next_cell, hidden, cell_grad[:, :2])


def test_overlap_is_seen(compiled_core):
    def done(*states: Tensor) -> bool:
        return compiled_core.cores[-1].lstm_forward_step(torch.zeros(2, 3, 20), *states)

    buffer, other = torch.zeros(2, 4, 3, 5), torch.zeros(2, 3, 5)  # steps of one buffer (D, T, B, H) interleave and share nothing
    first, second = buffer[:, 0], buffer[:, 1]
    late = buffer.flatten()[3:].as_strided(first.shape, first.stride())  # from the middle of each row of `first` into the next
    crossed = torch.zeros(50).as_strided((2, 3, 5), (12, 5, 1))  # the second direction starts in the last row of the first
    assert done(buffer[:, 2], first, second)
    assert not done(first, first, second)
    assert not done(other, first, first)
    assert not done(other, first, late)
    assert not done(buffer[:, 0, :1].expand(2, 3, 5), second, first)  # where the layouts differ and the ranges meet, it is not certain
    assert not done(first, second, buffer[0, 2].expand(2, 3, 5))  # both directions written to one place
    assert done(other[:1].expand(2, 3, 5), first, second)  # which does no harm where it is read
    assert not done(other, first, crossed)
    assert not done(other, first, torch.zeros(2, 5, 3).mT)  # the values of a row far apart
    assert not compiled_core.cores[-1].lstm_backward_step(torch.zeros(2, 3, 20), first, second, other, other)


def walk_in_float64(gates: Tensor, hidden: Tensor, cell: Tensor, weights: list[Tensor], turned: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Activations and states (D, T, B, ...) at their positions, and last cells (D, B, H), one row of one direction after the other."""
    found = []
    for d, weight in enumerate(weights):
        h, c, at = hidden[d], cell[d], {}
        positions = range(gates.shape[1])
        for position in reversed(positions) if turned and d else positions:
            activations, c, h = forward_in_float64(gates[d, position] + h @ weight.T, c)
            at[position] = (activations, h)
        found.append((*(torch.stack([at[position][k] for position in positions]) for k in (0, 1)), c))
    activations, states, cells = zip(*found, strict=True)
    return torch.stack(activations), torch.stack(states), torch.stack(cells)


def buffer(*shape: int, examples_first: bool) -> Tensor:
    directions, length, rows, width = shape
    return torch.zeros(directions, rows, length, width).transpose(1, 2) if examples_first else torch.zeros(shape)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 7), (1, 4, 13, 16), (2, 3, 66, 67), (2, 2, 6, 300)])  # tiles are 6 high
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("examples_first", [False, True])
def test_lstm_walks_are_autograds(implementation, shape, turned, examples_first):
    directions, length, rows, width = shape
    gates, hidden, grads = (
        buffer(directions, steps, rows, size, examples_first=examples_first)
        for steps, size in ((length, 4 * width), (length + 1, width), (length, width))
    )
    cells, weights = (
        torch.zeros(directions, length + 1, rows, width),
        [normal(4 * width, width, seed=d) / width**0.5 for d in range(directions)],
    )
    for seed, whole in enumerate((gates, kernels.by_step(hidden, turned=turned)[0], cells[:, 0], grads), start=3):
        whole.copy_(normal(*whole.shape, seed=seed))
    exact = [x.double().requires_grad_() for x in (gates, kernels.by_step(hidden, turned=turned)[0], cells[:, 0])]
    activations, states, last = walk_in_float64(*exact, [weight.double() for weight in weights], turned)
    kernels.lstm_walk(gates, hidden, cells, weights, turned=turned)
    after = torch.stack([hidden[d, :-1] if turned and d else hidden[d, 1:] for d in range(directions)])
    for found, expected in ((gates, activations), (after, states), (cells[:, -1], last)):
        torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=2e-6)
    cell_grads, first = normal(directions, rows, width, seed=9), torch.ones(directions, rows, width)
    wanted = torch.autograd.grad((states, last), exact, (grads.double(), cell_grads.double()))
    kernels.lstm_walk_back(gates, cells, grads, cell_grads, weights, turned=turned, first_grads_DBH=first)
    for found, expected in zip((gates, first - 1, cell_grads), wanted, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_lstm_walks_do_not_depend_on_threads_or_neighbours(implementation):
    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            gates, hidden, cells, weights = (
                normal(2, 3, 64, 256),
                torch.zeros(2, 4, 64, 64),
                torch.zeros(2, 4, 64, 64),
                [normal(256, 64)] * 2,
            )
            gates[0, 1, 5, 7] = float("nan")
            kernels.lstm_walk(gates, hidden, cells, weights, turned=True)
            kernels.lstm_walk_back(gates, cells, hidden[:, 1:].clone(), torch.ones(2, 64, 64), weights, turned=True)
            found.append(gates)
    finally:
        torch.set_num_threads(threads)
    assert gates.isnan().nonzero()[:, [0, 2]].unique(dim=0).tolist() == [[0, 5]]
    if implementation != "torch":  # whose products may be summed in another order
        assert all(torch.equal(one.nan_to_num(), gates.nan_to_num()) for one in found)


def test_lstm_walks_take_other_layouts_and_refuse_other_shapes(implementation):
    gates, states, weights = normal(2, 3, 4, 20), torch.zeros(2, 4, 4, 5), [normal(20, 5)] * 2
    expected = [gates.clone(), states.clone(), states.clone()]
    kernels.lstm_walk(*expected, weights, turned=False)
    gapped = [torch.stack([x, x], 3)[:, :, :, 0] for x in (gates, states, states)]
    kernels.lstm_walk(*gapped, [weight.mT.contiguous().mT for weight in weights], turned=False)
    for found, plain in zip(gapped, expected, strict=True):
        torch.testing.assert_close(found, plain)
    for wrong in ((gates, states[:, :3], states, weights), (gates, states, states, weights[:1]), (gates[0], states[0], states[0], weights)):
        with pytest.raises(InputError, match="gates are"):
            kernels.lstm_walk(*wrong, turned=True)
    with pytest.raises(InputError, match="single states"):
        kernels.lstm_walk_back(gates, states, torch.zeros(2, 3, 4, 5), states[:, 0, :1], weights, turned=True)


def test_buffers_that_meet_are_seen():
    block = torch.zeros(2, 5, 3, 4)
    assert native.apart([block, torch.zeros(2, 3, 4)])
    assert native.apart([torch.zeros(2, 3, 5, 4).transpose(1, 2), block])
    assert not native.apart([block, block])
    assert not native.apart([block, block[1]])
    assert not native.apart([block[:, :2]])
    assert not native.apart([torch.zeros(2, 1, 3, 4).expand(2, 5, 3, 4)])


def test_says_what_is_at_work(implementation):
    assert kernels.backend() == ("torch" if implementation == "torch" else f"compiled ({implementation})")


def test_unknown_names_are_refused(monkeypatch):
    with pytest.raises(InputError, match="did you mean 'torch'"), kernels.using("torhc"):
        pass
    monkeypatch.setattr(kernels, "_chosen", [])
    monkeypatch.setenv("HOLDFAST_KERNELS", "avx3")
    with pytest.raises(InputError, match="HOLDFAST_KERNELS is 'avx3'"):
        kernels.backend()
    monkeypatch.setenv("HOLDFAST_KERNELS", "torch")
    assert kernels.backend() == "torch"


def test_a_stale_library_is_left_alone(monkeypatch, caplog):
    monkeypatch.setattr(native, "ABI", native.ABI + 1)
    if native.library() is not None:
        assert native.library.__wrapped__() is None
        assert "install holdfast again" in caplog.text
    monkeypatch.setattr(native, "library", lambda: None)
    with pytest.raises(InputError, match="does not have; it has: torch"):
        kernels.using("compiled").__enter__()


def test_the_library_was_built_from_these_sources(compiled_core):
    names = sorted(path.name for path in CORE.iterdir() if path.suffix in (".cpp", ".h"))
    digests = "".join(sha256((CORE / name).read_bytes()).hexdigest() for name in names)
    assert compiled_core.sources == sha256(digests.encode()).hexdigest(), "the library is older than its sources: make setup"


def test_both_sides_know_the_same_version():
    assert f"ABI = {native.ABI};" in (CORE / "kernels.h").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_shares_the_threads_of_torch(compiled_core):
    code = "import torch; from holdfast.privacy import kernels; kernels.backend(); print(open('/proc/self/maps').read())"
    maps = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert compiled_core.path.name in maps
    assert len({line.split()[-1] for line in maps.splitlines() if "libgomp" in line}) == 1


LAYOUTS = {  # (X, K) and (K, N) matrices of the strides that occur, and of some that do not
    "packed": lambda x, k, n: (normal(x, k), normal(k, n, seed=1)),
    "turned": lambda x, k, n: (normal(k, x).mT, normal(n, k, seed=1).mT),
    "left turned": lambda x, k, n: (normal(k, x).mT, normal(k, n, seed=1)),
    "rows apart": lambda x, k, n: (normal(x, k + 5)[:, 2 : k + 2], normal(k, n + 3, seed=1)[:, 1 : n + 1]),
    "columns apart": lambda x, k, n: (normal(x, 2 * k)[:, ::2], normal(k, 3 * n, seed=1)[:, ::3]),
    "one row": lambda x, k, n: (normal(1, k).expand(x, k), normal(k, 1, seed=1).expand(k, n)),
    "positions first": lambda x, k, n: (normal(4, k, x // 4).transpose(1, 2).flatten(0, 1), normal(k, n, seed=1)),
}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN on every processor, for products of every size."""
    monkeypatch.setattr(products_module, "_onednn", lambda: torch.ops.mkldnn._linear_pointwise.default)
    monkeypatch.setattr(products_module, "SMALLEST", 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("x", "k", "n"), [(64, 32, 48), (4, 1, 1), (300, 7, 5), (8, 1000, 3), (16, 16, 1024), (200, 100, 8)])
def test_products_of_onednn_are_products(always, layout, x, k, n):
    left, right = LAYOUTS[layout](x, k, n)
    with torch.no_grad():
        found = kernels.product(left, right)
    assert found is not None
    assert found.is_contiguous()
    assert_close(found, left.double() @ right.double())


def test_products_that_are_left_to_torch(always, monkeypatch):
    left, right = normal(64, 32), normal(32, 48)
    for other in (left.double(), left.bfloat16(), left.clone().requires_grad_()):
        assert kernels.product(other, right.to(other.dtype)) is None
    assert kernels.product(left[:0], right) is None
    assert kernels.product(left[:, :0], right[:0]) is None
    with torch.backends.mkldnn.flags(enabled=False):
        assert kernels.product(left, right) is None
        assert kernels.products_by() == "torch.mm"
    assert kernels.product(left, right) is not None
    assert kernels.products_by() == "oneDNN"
    monkeypatch.setattr(products_module, "SMALLEST", 64 * 32 * 48 + 1)
    assert kernels.product(left, right) is None


def test_a_bad_row_spoils_its_own_products_alone(always):
    left, right = normal(64, 32), normal(32, 48)
    clean = kernels.product(left, right)
    left[5, 3] = float("nan")
    found = kernels.product(left, right)
    assert bool(found[5].isnan().all())
    assert_close(found[6:], clean[6:])
    assert_close(found[:5], clean[:5])


def test_which_library_is_taken_depends_on_the_processor_alone(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert products_module._onednn.__wrapped__() is None
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(Path, "read_text", lambda self, **how: "vendor_id : GenuineIntel")
    assert products_module._onednn.__wrapped__() is None
    monkeypatch.setattr(Path, "read_text", lambda self, **how: "vendor_id : AuthenticAMD")
    assert products_module._onednn.__wrapped__() is torch.ops.mkldnn._linear_pointwise.default
