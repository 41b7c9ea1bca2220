"""Every implementation of the kernels against the same formula in float64, in shapes and layouts that hypothesis picks."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from holdfast.privacy import kernels
from holdfast.privacy.kernels import portable

quick = settings(max_examples=40, deadline=None, derandomize=True)
sizes = st.integers(0, 5)
lengths = st.one_of(st.integers(1, 9), st.sampled_from([63, 64, 65, 67, 130]))
widths = st.one_of(st.integers(1, 40), st.sampled_from([511, 512, 513, 1030]))
layouts = st.sampled_from(["packed", "rows apart", "examples within rows", "values apart", "one memory"])


def laid_out(shape: tuple[int, int, int], layout: str, seed: int) -> Tensor:
    """A (B, T, D) tensor of normals with the strides of a layout."""
    generator = torch.Generator().manual_seed(seed)
    b, t, d = shape
    made = {
        "packed": lambda: torch.randn(b, t, d, generator=generator),
        "rows apart": lambda: torch.randn(b, t, d + 3, generator=generator)[:, :, 1 : d + 1],
        "examples within rows": lambda: torch.randn(t, b, d, generator=generator).transpose(0, 1),
        "values apart": lambda: torch.randn(b, d, t, generator=generator).mT,
        "one memory": lambda: torch.randn(1, t, d, generator=generator).expand(b, t, d),
    }
    return made[layout]()


@given(
    examples=sizes,
    length=lengths,
    input_widths=st.lists(widths, max_size=3),
    grad_widths=st.lists(widths, min_size=1, max_size=3),
    id_lists=st.integers(0, 2),
    layout=layouts,
    silent=st.booleans(),
    seed=st.integers(0, 100),
)
@example(examples=2, length=3, input_widths=[70_001], grad_widths=[1], id_lists=0, layout="packed", silent=False, seed=0)
@example(examples=1, length=1, input_widths=[1], grad_widths=[1] * 20, id_lists=2, layout="one memory", silent=True, seed=0)
@quick
def test_gram_norms(implementation, examples, length, input_widths, grad_widths, id_lists, layout, silent, seed):
    inputs = [laid_out((examples, length, width), layout, seed + k) for k, width in enumerate(input_widths)]
    grads = [laid_out((examples, length, width), layout, seed + 10 + k) for k, width in enumerate(grad_widths)]
    if silent:  # rows that are all zero, as behind the end of a sentence
        grads = [torch.where(torch.arange(length)[:, None] < length // 2, g, 0.0) for g in grads]
    ids = [torch.randint(0, 4, (length, examples), generator=torch.Generator().manual_seed(seed + k)).T for k in range(id_lists)]
    wanted = [k % 2 == 0 for k in range(len(grads))]
    norms, diagonal, sums = kernels.gram_norms(inputs, grads, ids=ids, column_sums=wanted)
    expected, expected_diagonal, expected_sums = portable.gram_norms([x.double() for x in inputs], [g.double() for g in grads], ids, wanted)
    assert norms.shape == (examples,)
    assert norms.dtype == torch.float32
    scale = float(expected.max()) if examples else 0.0
    torch.testing.assert_close(norms.double(), expected, rtol=5e-6, atol=5e-6 * scale)
    torch.testing.assert_close(diagonal.double(), expected_diagonal, rtol=5e-6, atol=0)
    for found, exact in zip(sums, expected_sums, strict=True):
        assert (found is None) == (exact is None)
        if exact is not None:
            torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


@given(examples=sizes, length=lengths, width=widths, layout=layouts, seed=st.integers(0, 100))
@quick
def test_layer_norm_backward(implementation, examples, length, width, layout, seed):
    x, g = laid_out((examples, length, width), layout, seed), laid_out((examples, length, width), layout, seed + 1)
    weight = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    _, mean, rstd = torch.native_layer_norm(x.double(), (width,), None, None, 1e-2)
    found = kernels.layer_norm_backward(x, g, weight, mean.float(), rstd.float(), examples=examples)
    normal = (x.double() - mean) * rstd
    scaled = g.double() * weight
    exact = rstd * (scaled - scaled.mean(-1, keepdim=True) - normal * (scaled * normal).mean(-1, keepdim=True))
    for one, other in zip(found, (exact, (g * normal).sum(1), g.double().sum(1)), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


@given(directions=st.integers(1, 2), examples=sizes, width=st.integers(1, 40), buffered=st.booleans(), seed=st.integers(0, 100))
@quick
def test_lstm_steps(implementation, directions, examples, width, buffered, seed):
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(directions, 5, examples, width, generator=generator)
    cell, next_cell, hidden, cell_grad, hidden_grad = states.unbind(1) if buffered else [x.contiguous() for x in states.unbind(1)]
    gates = torch.randn(directions, 2, examples, 4 * width, generator=generator)[:, 1].mul_(2)
    exact = [x.double() for x in (gates, cell, next_cell, hidden)]
    cells, kept = cell.clone(), hidden_grad.clone()
    portable.lstm_forward_step(*exact)
    kernels.lstm_forward_step(gates, cell, next_cell, hidden)
    for found, expected in zip((gates, cell, next_cell, hidden), exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    exact_grads = [x.double() for x in (gates, cell, next_cell, hidden_grad, cell_grad)]
    portable.lstm_backward_step(*exact_grads)
    kernels.lstm_backward_step(gates, cell, next_cell, hidden_grad, cell_grad)
    torch.testing.assert_close(gates.double(), exact_grads[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(cell_grad.double(), exact_grads[4], rtol=1e-5, atol=1e-5)
    assert torch.equal(cell, cells)
    assert torch.equal(hidden_grad, kept)


@given(
    count=st.integers(0, 1500),
    first=st.integers(0, 400),
    nonce=st.integers(0, 2**64 - 1),
    key=st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8),
    deviation=st.floats(0, 100),
    scale=st.floats(-2, 2),
    draws=st.sampled_from([1, 4]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
@quick
def test_noise_is_the_same_bits_and_belongs_to_its_position(implementation, count, first, nonce, key, deviation, scale, draws, dtype):
    start = torch.linspace(-1, 1, count).to(dtype)
    found, expected, part = start.clone(), start.clone(), start[:first].clone()
    kernels.add_noise(found, deviation, key=key, nonce=nonce, scale=scale, draws=draws)
    kernels.add_noise(part, deviation, key=key, nonce=nonce, scale=scale, draws=draws)
    with kernels.using("torch"):
        kernels.add_noise(expected, deviation, key=key, nonce=nonce, scale=scale, draws=draws)
    assert torch.equal(found, expected)
    assert torch.equal(part, found[:first])


@pytest.mark.parametrize("threads", [2, 5])
def test_nothing_depends_on_the_threads(implementation, threads):
    a, g = laid_out((5, 70, 30), "packed", 0), laid_out((5, 70, 600), "rows apart", 1)

    def results() -> list[Tensor]:
        gates, states = torch.sin(torch.arange(2 * 64 * 4 * 80.0)).view(2, 64, 320).clone(), [torch.ones(2, 64, 80) for _ in range(3)]
        kernels.lstm_forward_step(gates, *states)
        noise = torch.zeros(30_000)
        kernels.add_noise(noise, 1.0, key=range(8), nonce=0)
        return [kernels.gram_norms([a], [g])[0], gates, *states, noise]

    alone = results()
    torch.set_num_threads(threads)
    try:
        together = results()
    finally:
        torch.set_num_threads(1)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6 if implementation == "torch" else 0, atol=0)
