"""`holdfast budget`: what a training plan promises, or the noise that a promise needs, before anything is trained."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.terminal import output
from holdfast.core.errors import InputError

if TYPE_CHECKING:
    from holdfast.core.claim import PrivacyClaim
    from holdfast.privacy import Mechanism

FALSE_POSITIVE_RATES = (0.1, 0.01, 0.001)
_TEXT = """\
Account for a training plan: give the noise multiplier and read epsilon, or give
epsilon and read the noise multiplier. No data and no model are needed. The
neighbouring relation follows from the sampler and is printed with the promise.

  holdfast budget --examples 13000 --batch-size 512 --steps 500 \\
      --noise-multiplier 1 --delta 1e-5
  holdfast budget --examples 13084 --batch-size 512 --epochs 20 \\
      --epsilon 8 --delta 1e-5
  holdfast budget --mechanism edp-sgd --micro-batch-size 16 --examples 13000 \\
      --batch-size 512 --steps 500 --noise-multiplier 1 --delta 1e-5
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "budget", run=run, help="epsilon of a plan, or the noise for a target epsilon", text=_TEXT)
    parser.add_argument("--mechanism", choices=["dp-sgd", "edp-sgd"], default="dp-sgd", help="how gradients are clipped (default: dp-sgd)")
    parser.add_argument("--examples", type=int, required=True, metavar="N", help="number of training examples, or of users")
    parser.add_argument("--batch-size", type=int, required=True, metavar="N", help="expected size of a batch, in the same unit")
    units = ["example", "user"]
    parser.add_argument("--unit", choices=units, default="example", help="whose data is protected, and what is counted (default: example)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=float, metavar="X", help="expected passes over the data")
    length.add_argument("--steps", type=int, metavar="N", help="updates in all")
    noise = parser.add_mutually_exclusive_group(required=True)
    noise.add_argument("--noise-multiplier", type=float, metavar="X", help="standard deviation of the noise over the clip norm")
    noise.add_argument("--epsilon", type=float, metavar="X", help="the promise to keep")
    parser.add_argument("--delta", type=float, required=True, metavar="X", help="delta of the promise, well below 1/examples")
    parser.add_argument("--clip-norm", type=float, default=1.0, metavar="X", help="only scales the printed sensitivity (default: 1)")
    parser.add_argument("--micro-batch-size", type=int, metavar="N", help="examples in a micro-batch; edp-sgd needs it")
    samplers = ["truncated-poisson", "poisson", "shuffled"]
    parser.add_argument("--sampler", choices=samplers, default=samplers[0], help="how batches are drawn (default: truncated-poisson)")
    decays = ["constant", "exponential", "hyperbolic", "linear", "step"]
    parser.add_argument("--noise-decay", choices=decays, default="constant", help="how the noise falls over epochs (default: constant)")
    parser.add_argument("--noise-decay-rate", type=float, default=0.0, metavar="X", help="its rate, in (0, 1)")


def run(args: argparse.Namespace) -> int:
    """Prints the promise, the noise, other accounts and conditions."""
    mechanism = _mechanism(args)
    claim = mechanism.claim(args.mechanism)
    assert claim is not None  # both mechanisms have noise
    caps = {str(rate): claim.cap(rate) for rate in FALSE_POSITIVE_RATES}
    if args.json:
        output.document({"claim": asdict(claim), "mechanism": mechanism.describe(), "true_positive_rate_cap": caps})
    else:
        output.lines(*_words(mechanism, claim))
    return 0


def _mechanism(args: argparse.Namespace) -> Mechanism:
    from holdfast.privacy import Budget

    return _maker(args)(
        batch_size=args.batch_size,
        clip_norm=args.clip_norm,
        epochs=args.epochs,
        steps=args.steps,
        target=None if args.epsilon is None else Budget(epsilon=args.epsilon, delta=args.delta),
        noise_multiplier=args.noise_multiplier,
        delta=args.delta if args.epsilon is None else None,
        sampler=args.sampler,
        noise_decay=args.noise_decay,
        noise_decay_rate=args.noise_decay_rate,
    )


def _maker(args: argparse.Namespace) -> Callable[..., Mechanism]:
    from holdfast.privacy import dp_sgd, edp_sgd

    if args.unit == "user":
        if args.mechanism != "dp-sgd":
            raise InputError("edp-sgd protects examples; dp-sgd protects users as well")
        return partial(dp_sgd, unit="user", users=args.examples, examples_per_user=1)  # how many take part costs no epsilon
    if args.mechanism == "dp-sgd":
        if args.micro_batch_size is not None:
            raise InputError("--micro-batch-size belongs to edp-sgd; dp-sgd clips every example by itself")
        return partial(dp_sgd, examples=args.examples)
    if args.micro_batch_size is None:
        raise InputError("edp-sgd needs --micro-batch-size, the number of examples whose mean gradient is clipped")
    return partial(edp_sgd, examples=args.examples, micro_batch_size=args.micro_batch_size)


def _words(mechanism: Mechanism, claim: PrivacyClaim) -> list[str]:
    plan = mechanism.describe()
    caps = ", ".join(f"{claim.cap(rate):.3g} at {rate:g}" for rate in FALSE_POSITIVE_RATES)
    return [
        str(claim),
        f"noise multiplier {plan['noise_multiplier']:.4g} ({plan['noise_schedule']}), sensitivity {plan['sensitivity']:g} "
        f"at clip norm {plan['clip_norm']:g}",
        f"no membership attack has a true positive rate above {caps} (false positive rate)",
        *(f"epsilon {value:.3g} by another account ({name})" for name, value in claim.other_accounts.items()),
        *(f"condition: {condition}" for condition in claim.conditions),
    ]
