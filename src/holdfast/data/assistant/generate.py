"""Makes the corpus `assistant` as Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.data import columns
from holdfast.data.assistant.compiled import Ints, compiled
from holdfast.data.assistant.population import START, Population, intents, moments
from holdfast.data.assistant.settings import ATTRIBUTE, CONTROL_ATTRIBUTE, CONTROL_VALUES, MAJORITY, MINORITY, AssistantSettings
from holdfast.data.assistant.utterances import spell
from holdfast.data.canaries import plant_canaries
from holdfast.data.dataset import Dataset, DataSplits
from holdfast.data.examples import Example

NAME = "assistant"


def generate(settings: AssistantSettings | None = None, *, canaries: Sequence[Example] = (), copies: int = 1) -> DataSplits:
    """Makes the corpus.

    Args:
        settings: Sizes, seed, drift, disparity; the defaults where None.
        canaries: Examples to plant in the training part only, with all attributes of the corpus.
        copies: How many times each canary is planted, at least 1.

    Returns:
        Training, validation and test part. With ``split="random"`` they are exchangeable: without canaries nothing but chance
        tells a training utterance from a test utterance.

    >>> data = generate(AssistantSettings(train=300, validation=50, test=50))
    >>> len(data.train), data.train.group_names
    (300, ('device', 'dialect'))
    """
    settings = settings or AssistantSettings()
    plan = _plan(settings)
    table = _table(plan, settings)
    parts = {part: Dataset.from_table(table.take(pa.array(rows)), name=NAME, split=part) for part, rows in _parts(plan, settings).items()}
    train = plant_canaries(parts["train"], canaries, copies=copies, streams=_streams(settings).child("canaries"))
    return DataSplits(NAME, train, parts["validation"], parts["test"])


def clean_labels(settings: AssistantSettings | None = None) -> dict[str, list[str]]:
    """The intent that each utterance was made from: what an oracle would answer, before label noise.

    Returns:
        Split name to one intent for each utterance, in the order of `generate` without canaries.
    """
    settings = settings or AssistantSettings()
    plan = _plan(settings)
    names = np.array(compiled().intents, dtype=object)
    return {part: names[plan.intents[rows]].tolist() for part, rows in _parts(plan, settings).items()}


@dataclass(frozen=True)
class _Plan:
    """What is settled about each utterance before a word is chosen; arrays of (n,) over all three parts."""

    population: Population
    speakers: Ints
    seconds: Ints
    intents: Ints
    labels: Ints
    rare: NDArray[np.bool_]


def _streams(settings: AssistantSettings) -> Streams:
    return Streams.from_seed(settings.seed).child(NAME)


def _plan(settings: AssistantSettings) -> _Plan:
    streams, total = _streams(settings), settings.train + settings.validation + settings.test
    population = Population.draw(settings, streams)
    speakers = population.speakers(total, streams)
    seconds = moments(total, streams)
    clean = intents(population, speakers, seconds, settings.drift, streams)
    minority, truth = population.minority[speakers], settings.truth()
    rng = streams.generator("disparity")
    noisy = rng.random(total) < np.where(minority, truth.label_noise[MINORITY], truth.label_noise[MAJORITY])
    count = len(compiled().intents)
    labels = np.where(noisy, (clean + rng.integers(1, count, total)) % count, clean)  # any other intent, each equally likely
    rare = rng.random(total) < np.where(minority, truth.rare_wording[MINORITY], truth.rare_wording[MAJORITY])
    return _Plan(population, speakers, seconds, clean, labels, rare)


def _parts(plan: _Plan, settings: AssistantSettings) -> dict[str, Ints]:
    """Which rows make each part; without a split by time they stand in random order already."""
    order = np.argsort(plan.seconds, kind="stable") if settings.split == "time" else np.arange(len(plan.seconds))
    train, validation, test = np.split(order, np.cumsum([settings.train, settings.validation]))
    return {"train": train, "validation": validation, "test": test}


def _table(plan: _Plan, settings: AssistantSettings) -> pa.Table:
    grammar, speakers = compiled(), plan.speakers
    said = spell(plan.intents, plan.rare, speakers, slot_noise=settings.slot_noise, streams=_streams(settings))
    ends = pa.array(np.concatenate([[0], np.cumsum(said.counts)]), pa.int32())
    dialect, device = plan.population.minority[speakers].astype(np.int32), plan.population.control[speakers]
    return pa.table(
        {
            columns.TOKENS: pa.ListArray.from_arrays(ends, columns.encode(grammar.words, said.words)),
            columns.LABEL: columns.encode(grammar.intents, plan.labels),
            columns.TAGS: pa.ListArray.from_arrays(ends, columns.encode(grammar.tags, said.tags)),
            columns.USER_ID: columns.encode(plan.population.names(), speakers),
            columns.TIMESTAMP: pa.array(START.astype(np.int64) + plan.seconds, pa.int64()).cast(pa.timestamp("s")),
            columns.GROUP + ATTRIBUTE: columns.encode((MAJORITY, MINORITY), dialect),
            columns.GROUP + CONTROL_ATTRIBUTE: columns.encode(CONTROL_VALUES, device),
        }
    )
