"""Who speaks in the corpus `assistant`, how much, of which groups, when, and what about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.data.assistant.compiled import Choices, Floats, Ints
from holdfast.data.assistant.grammar import INTENTS
from holdfast.data.assistant.settings import AssistantSettings

START = np.datetime64("2024-01-01T00:00:00", "s")  # a Monday
DAYS = 7 * 12
DAY_SECONDS = 86_400

_ACTIVITY = (8.0, 1.2)  # Zipf-Mandelbrot: the user of rank r speaks in proportion to (r + 8)^-1.2
_FAVOURITE_RATE = 0.25  # how often a user asks for the one intent that he or she likes best
_HOURS = np.array([1, 1, 1, 1, 1, 3, 8, 12, 10, 6, 5, 5, 7, 6, 5, 5, 7, 10, 12, 11, 9, 7, 4, 2], np.float64)  # weight of each hour
_BLOCK = 10  # groups are balanced within so many users of neighbouring activity


@dataclass(frozen=True)
class Population:
    """The users, most active first.

    Args:
        activity: Share of all utterances that each user makes, (users,), summing to 1.
        minority: Who is of the minority dialect, (users,).
        control: Index of the value of the control attribute, (users,).
        favourite: The intent that each user likes best, (users,).
        number: The number in the user's id, (users,), a permutation, so that the id says nothing of the activity.
    """

    activity: Floats
    minority: NDArray[np.bool_]
    control: Ints
    favourite: Ints
    number: Ints

    @classmethod
    def draw(cls, settings: AssistantSettings, streams: Streams) -> Population:
        """Draws the users. Groups are balanced over activity, so that a group's share of utterances is near its share of users."""
        ranks = np.arange(1, settings.users + 1)
        raw = (ranks + _ACTIVITY[0]) ** -_ACTIVITY[1]
        mix = intent_mix(0.5, 0.0)
        return cls(
            activity=raw / raw.sum(),
            minority=_balanced(settings.users, settings.minority_share, streams.generator("dialect")),
            control=_balanced(settings.users, 0.5, streams.generator("device")).astype(np.int64),
            favourite=streams.generator("favourite").choice(len(mix), settings.users, p=mix),
            number=streams.generator("number").permutation(settings.users),
        )

    def speakers(self, count: int, streams: Streams) -> Ints:
        """Who makes each utterance, (count,): every user as often as the activity says, in random order."""
        exact = self.activity * count
        times = np.floor(exact).astype(np.int64)
        left_over = np.argsort(times - exact, kind="stable")[: count - times.sum()]
        times[left_over] += 1
        return streams.generator("speakers").permutation(np.repeat(np.arange(len(times)), times))

    def names(self) -> list[str]:
        """The id of each user, (users,): invented, so there is nothing to hide."""
        width = max(4, len(str(len(self.number))))
        return [f"user-{number:0{width}d}" for number in self.number]


def moments(count: int, streams: Streams) -> Ints:
    """When each utterance is made: seconds since `START`, (count,), spread over twelve weeks with busy mornings and evenings."""
    rng = streams.generator("moments")
    hour = rng.choice(24, count, p=_HOURS / _HOURS.sum())
    return rng.integers(0, DAYS, count) * DAY_SECONDS + hour * 3600 + rng.integers(0, 3600, count)


def intent_mix(at: float, drift: float) -> Floats:
    """The share of each intent among what is asked, (K,), favourites apart.

    Args:
        at: How much of the twelve weeks has passed, in [0, 1].
        drift: As in the settings: the log-weight of an intent moves by drift times its trend over the twelve weeks.
    """
    weights = np.array([intent.weight for intent in INTENTS.values()])
    trends = np.array([intent.trend for intent in INTENTS.values()])
    raw = weights * np.exp(drift * trends * (at - 0.5))
    mix: Floats = raw / raw.sum()
    return mix


def intents(population: Population, speakers: Ints, seconds: Ints, drift: float, streams: Streams) -> Ints:
    """What each utterance asks for, (n,): the user's favourite now and then, else by the mix of that day."""
    rng = streams.generator("intents")
    by_day = Choices.of([intent_mix(day / (DAYS - 1), drift) for day in range(DAYS)])
    day = seconds // DAY_SECONDS
    usual = by_day.draw(day, rng.random(len(day))) - by_day.starts[day]
    return np.where(rng.random(len(day)) < _FAVOURITE_RATE, population.favourite[speakers], usual)


def _balanced(users: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Chooses a share of the users, spread evenly over the ranks, (users,)."""
    chosen = np.zeros(users, bool)
    carry = rng.random()
    for start in range(0, users, _BLOCK):
        size = min(_BLOCK, users - start)
        carry += share * size
        chosen[start + rng.permutation(size)[: int(carry)]] = True
        carry -= int(carry)
    return chosen
