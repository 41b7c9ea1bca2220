"""Which shadow model is trained on which examples: complementary pairs of models, drawn by fair coins."""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

DESIGN = "balanced pairs 1"
"""Name of the rule below. Stored scores are of no use under another rule, so a change of it must change this name."""


def balanced(examples: int, models: int, *, seed: int) -> NDArray[np.bool_]:
    """Draws which of N examples each of M shadow models is trained on.

    Models 2p and 2p + 1 are a pair: a fair coin for each example says which of the two is trained on it.

    Args:
        examples: N, at least 1.
        models: M, even and at least 2.
        seed: Integer >= 0; the same seed gives the same matrix on every machine and with every numpy.

    Returns:
        (N, M), True where the example is a member of the model. The columns lie in one piece each.

    Raises:
        InputError: For an odd number of models, sizes that are too small, or no seed.

    Guarantee:
        Every example is in exactly M / 2 models and in exactly one of each pair. Within one model the coins of the examples are
        fair and independent, so a model has N / 2 examples give or take sqrt(N) / 2, and may itself be audited from one run. The
        column of a model does not depend on M.

    Edge cases:
        The two models of a pair are not independent of one another; models of different pairs are. With few examples a model may
        have none.

    References:
        Carlini et al. 2022, "Membership inference attacks from first principles", arXiv 2112.03570, section IV: each example in
        half of the shadow models.

    >>> balanced(3, 4, seed=1).sum(axis=1)
    array([2, 2, 2])
    """
    return balanced_block(0, checked_size(examples, models)[0], models, seed=seed)


def balanced_column(examples: int, model: int, *, seed: int) -> NDArray[np.bool_]:
    """The column of one model in `balanced`, without the others.

    Args:
        examples: N, at least 1.
        model: Its number, from 0.
        seed: That of the matrix.

    Returns:
        (N,), True where the example is a member of the model.

    Raises:
        InputError: For sizes below these, or no seed.

    Guarantee:
        Equal to ``balanced(examples, models, seed=seed)[:, model]`` for every number of models that has this one.
    """
    count, column = whole(examples, "examples", least=1), whole(model, "model", least=0)
    return _coins(_streams(seed), column // 2, 0, count) ^ bool(column % 2)


def balanced_block(start: int, stop: int, models: int, *, seed: int) -> NDArray[np.bool_]:
    """Rows of `balanced` for some of the examples, without the others.

    Args:
        start: The first example.
        stop: One past the last; at least `start`.
        models: M, even and at least 2.
        seed: That of the matrix.

    Returns:
        (stop - start, M), True where the example is a member of the model.

    Raises:
        InputError: For other sizes, or no seed.

    Guarantee:
        Equal to ``balanced(examples, models, seed=seed)[start:stop]`` for every number of examples >= `stop`.
    """
    first = whole(start, "start", least=0)
    last, columns = whole(stop, "stop", least=first), _even(models)
    streams = _streams(seed)
    included = np.empty((columns, last - first), dtype=np.bool_)
    for pair in range(columns // 2):
        included[2 * pair] = _coins(streams, pair, first, last)
        np.logical_not(included[2 * pair], out=included[2 * pair + 1])
    return included.T


def checked_size(examples: int, models: int) -> tuple[int, int]:
    """N and M, refused where no balanced design has them.

    Args:
        examples: N, at least 1.
        models: M, even and at least 2.

    Raises:
        InputError: Names the value, the bound and the cure.
    """
    return whole(examples, "examples", least=1), _even(models)


def whole(value: int, name: str, *, least: int) -> int:
    """A plain whole number, such as a count.

    Args:
        value: Any integer, numpy's too.
        name: What it is called in the message.
        least: The smallest that is allowed.

    Raises:
        InputError: For what is no integer, for True and False, or for less.
    """
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < least:
        raise InputError(f"{name} is {value!r}; give an integer >= {least}")
    return number


def _even(models: int) -> int:
    count = whole(models, "models", least=2)
    if count % 2:
        raise InputError(f"models is {count}, which is odd: half of the models cannot have an example; give {count - 1} or {count + 1}")
    return count


def _streams(seed: int) -> Streams:
    return Streams.from_seed(whole(seed, "seed", least=0))  # none would be secret randomness, and scores without their design are lost


def _coins(streams: Streams, pair: int, start: int, stop: int) -> NDArray[np.bool_]:
    """Fair coins of some examples, from raw bits: unlike `Generator.integers`, numpy promises never to change these."""
    words = streams.generator("shadow inclusion", pair).bit_generator.random_raw(-(-stop // 64))
    octets = words.astype("<u8").view(np.uint8)[start // 8 : -(-stop // 8)]
    bits = np.unpackbits(octets, bitorder="little")[start % 8 :][: stop - start]
    return bits.view(np.bool_)
