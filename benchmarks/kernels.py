"""What each kernel of private training costs, in every implementation that this machine has, beside the nearest thing in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from harness import Row, Timing, interleaved, parser, report, timed_rows
from torch import Tensor

from holdfast.privacy import kernels

GRAMS = ((32, 32, 256), (32, 32, 1024), (32, 128, 256), (16, 32, 768), (16, 32, 3072), (8, 128, 8000))  # B, T, output width
INPUT_WIDTH = 256
BURST = 20  # calls in a row: in a backward pass, too, their operands come from a cache
Calls = dict[str, Callable[[], object]]


def implementations() -> list[str]:
    """The twin in torch, and the levels of the compiled core that this processor has, the fastest first."""
    library = kernels.native.library()
    return ["torch", *(core.level for core in reversed(library.cores if library else ()))]


def in_each(call: Callable[[], object]) -> Calls:
    """The call in each implementation."""

    def by(name: str) -> object:
        with kernels.using(name):
            return call()

    return {name: lambda name=name: by(name) for name in implementations()}  # type: ignore[misc]


def gram_calls(b: int, t: int, width: int) -> Calls:
    a, g = torch.randn(b, t, INPUT_WIDTH), torch.randn(b, t, width)
    return {"torch.bmm": lambda: (torch.bmm(a, a.mT) * torch.bmm(g, g.mT)).sum((1, 2)), **in_each(lambda: kernels.gram_norms([a], [g]))}


def norm_calls() -> Calls:
    x, g, weight = torch.randn(32, 128, 256), torch.randn(32, 128, 256), torch.randn(256)
    _, mean, rstd = torch.native_layer_norm(x, (256,), weight, None, 1e-5)

    def sums() -> object:  # what ordinary training needs: no gradient of single examples
        return torch.ops.aten.native_layer_norm_backward(g, x, (256,), mean, rstd, weight, weight, [True, True, True])

    return {"aten backward": sums, **in_each(lambda: kernels.layer_norm_backward(x, g, weight, mean, rstd, examples=32))}


def lstm_calls() -> tuple[Calls, Calls]:
    gates, states = torch.randn(2, 64, 1024), [torch.randn(2, 64, 256) for _ in range(4)]
    forward = in_each(lambda: kernels.lstm_forward_step(gates, *states[:3]))
    return forward, in_each(lambda: kernels.lstm_backward_step(gates, *states))


def walk_calls() -> Calls:
    gates, states, weights = torch.randn(2, 16, 64, 1024), torch.zeros(2, 2, 17, 64, 256), [torch.randn(1024, 256) / 16 for _ in range(2)]
    grads, cell_grads = torch.randn(2, 16, 64, 256), torch.zeros(2, 64, 256)

    def there_and_back() -> None:
        kernels.lstm_walk(gates, states[0], states[1], weights, turned=True)
        kernels.lstm_walk_back(gates, states[1], grads, cell_grads, weights, turned=True)

    return in_each(there_and_back)


def noise_calls(total: Tensor) -> Calls:
    def drawn(draws: int) -> Callable[[], object]:
        return lambda: kernels.add_noise(total, 1.0, key=range(8), nonce=0, draws=4 if draws == 4 else 1)

    hardened = {f"{name}, sum of four": call for name, call in in_each(drawn(4)).items() if name != "torch"}
    return {"torch.randn": lambda: torch.randn(total.shape), **in_each(drawn(1)), **hardened}


def timed(calls: Calls, *, rounds: int, burst: int) -> dict[str, Timing]:
    """Seconds of one call, measured over a burst of them."""

    def in_a_row(call: Callable[[], object]) -> Callable[[], object]:
        return lambda: [call() for _ in range(burst)][-1]

    timings = interleaved({name: in_a_row(call) for name, call in calls.items()}, repeats=rounds, warm_up=1)
    return {name: replace(timing, seconds=tuple(taken / burst for taken in timing.seconds)) for name, timing in timings.items()}


def main() -> None:
    reader = parser(__doc__)
    reader.add_argument("--threads", type=int, default=2, help="threads of torch and of the core (default: 2)")
    arguments = reader.parse_args()
    torch.set_num_threads(arguments.threads)
    rounds, values = (1, 100_000) if arguments.quick else (7, 11_200_000)
    forward, backward = lstm_calls()
    cases = [
        *(
            (f"norms by Grams, B={b} T={t}, widths {INPUT_WIDTH} and {width}", gram_calls(b, t, width), BURST if t < 100 else 3)
            for b, t, width in GRAMS
        ),
        ("layer norm backward, B=32 T=128, width 256", norm_calls(), BURST),
        ("LSTM step forward, 2 directions, B=64, 256 units", forward, BURST),
        ("LSTM step backward", backward, BURST),
        ("16 LSTM steps with their products, there and back", walk_calls(), 3),
        (f"{values:,} normal values", noise_calls(torch.zeros(values)), 1),
    ]
    rows: list[Row] = []
    for case, calls, burst in cases:
        rows += timed_rows("kernels", case, timed(calls, rounds=rounds, burst=burst), ratio_to=next(iter(calls)))
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
