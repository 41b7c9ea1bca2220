"""The gradient audit: what an observer of a round learns of one client, by batch, cohort, clipping and noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from holdfast.audit.gradients.candidates import Candidates, Recovered, prior_only
from holdfast.audit.gradients.measuring import words_of
from holdfast.audit.gradients.projections import Readers
from holdfast.audit.gradients.ranking import Rehearsal, rehearse
from holdfast.audit.gradients.rounds import observe
from holdfast.audit.gradients.subspace import Tolerances, subspace
from holdfast.audit.gradients.tables import WordTables, embedding_tokens
from holdfast.audit.gradients.telling import NOTES, Setting, Trial, told
from holdfast.core.access import OpenModel
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.core.randomness import Streams
from holdfast.data import Dataset

REHEARSALS, REHEARSED = 6, 32
"""Rounds of public text from which the attacker learns what noise leaves of a word: so many, and so many examples in all, or more."""

USER_ID = "user_id"
NOT_REHEARSED = "The public text has no labels, so no rounds were rehearsed: under noise the attack is weaker."


def audit_gradients(
    model: OpenModel,
    *,
    clients_data: Dataset,
    public: Dataset,
    subject: str,
    streams: Streams,
    batch_sizes: Sequence[int] = (1, 2, 4, 8),
    cohorts: Sequence[int] = (1, 4, 16, 64),
    clip_norms: Sequence[float | None] = (None, 1.0),
    noise_multipliers: Sequence[float] = (0.0, 0.1, 1.0),
    trials: int = 10,
    positions: int = 32,
    tolerances: Tolerances | None = None,
    on_progress: OnProgress = silent,
) -> Evidence:
    """Attacks rounds of federated SGD and says how many of a client's words come out, one factor varied at a time.

    The base setting is the first of each list; the others are reached from it by one change. Noise needs a clip norm: where the base
    has none, noise is varied at the first clip norm that there is.

    Args:
        model: The model that the server sent. Where it is in training does not matter to the attacks that need no odds.
        clients_data: Labelled text of clients. With users, a client is a user with enough examples; else any distinct examples.
        public: Text of the same kind that the attacker has; with labels, if odds are to be learned from rehearsals.
        subject: The run that the estimates speak of.
        streams: For the choice of clients and for noise.
        batch_sizes: Examples of each client.
        cohorts: Clients in a sum; the first one is the target, the others hide it.
        clip_norms: Of one client's gradient; None for none.
        noise_multipliers: Noise on the sum over the clip norm. A cohort of one with noise is the view of an observer who knows all
            other updates of the cohort.
        trials: Independent rounds for each setting, at least 2.
        positions: Longest sentence that the attacker reckons with, in words.
        tolerances: Of the subspace attack; by default it tests 4,000 sentences and is told how many there are.
        on_progress: Told after each trial.

    Returns:
        For each setting and method ("embedding-rows", "subspace", "prior"): `token_precision`, `token_recall`, `token_f1`,
        `token_f1_gain` (over the prior on the same trials), `sentences_recovered` and `gradient_rank`. The condition "target" says
        against whose words: the client's, or for larger cohorts also all of the cohort's.

    Raises:
        InputError: For a value out of its bounds, too few clients, or noise without any clip norm.
    """
    settings = _settings(batch_sizes, cohorts, clip_norms, noise_multipliers)
    if trials < 2:
        raise InputError(f"trials is {trials}; an interval over trials needs at least two")
    pool = {size: _pool(clients_data, size) for size in dict.fromkeys(setting.batch_size for setting in settings)}
    for setting in settings:
        if len(pool[setting.batch_size]) < setting.cohort:
            raise InputError(
                f"cohort {setting.cohort} with {setting.batch_size} examples each: the data have {len(pool[setting.batch_size])} such "
                "clients; give more data, smaller batches or a smaller cohort"
            )
    attack = _Attack.on(model, public, positions, tolerances or Tolerances(tests=4000))
    found = Evidence()
    for number, setting in enumerate(settings):
        rehearsals = attack.rehearsals(setting, streams.child("rehearsals", number))
        ran = []
        for trial in range(trials):
            cohort = _cohort(clients_data, pool[setting.batch_size], setting, streams.child("cohort", trial))
            ran.append(attack.trial(setting, cohort, rehearsals, streams.child("round", number, trial)))
            on_progress(Progress(phase=f"gradient leakage of {subject}", done=number * trials + trial + 1, total=len(settings) * trials))
        found += Evidence(estimates=tuple(told(setting, ran, subject=subject)))
    return found + Evidence(notes=(*NOTES, *attack.notes))


@dataclass(frozen=True, eq=False)
class _Attack:
    """The attacker: what it knows of the model, its dictionary, and its public text."""

    model: OpenModel
    public: Dataset
    tables: WordTables
    readers: Readers
    tolerances: Tolerances
    can_rehearse: bool

    @classmethod
    def on(cls, model: OpenModel, public: Dataset, positions: int, tolerances: Tolerances) -> _Attack:
        candidates = Candidates.of(public)
        readers = Readers.of(model, candidates, positions=positions)
        return cls(model, public, WordTables.of(model, candidates), readers, tolerances, _labelled(model, public))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the attacker had to do without."""
        return () if self.can_rehearse else (NOT_REHEARSED,)

    def rehearsals(self, setting: Setting, streams: Streams) -> tuple[Rehearsal, ...]:
        """Rounds of public text like those of a setting, where odds are needed: under noise, or where a table is an output layer too."""
        size, tied = setting.batch_size, any(table.tied for table in self.tables.tables)
        if not (setting.noise_multiplier or tied) or not self.can_rehearse or len(self.public) < size:
            return ()
        cohorts = []
        for number in range(max(REHEARSALS, REHEARSED // (size * setting.cohort))):
            rng = streams.generator("examples", number)
            cohorts.append([self.public.take(rng.choice(len(self.public), size, replace=False)) for _ in range(setting.cohort)])
        return rehearse(self.model, cohorts, streams=streams, clip_norm=setting.clip_norm, noise_multiplier=setting.noise_multiplier)

    def trial(self, setting: Setting, cohort: list[Dataset], rehearsals: tuple[Rehearsal, ...], streams: Streams) -> Trial:
        """One round and all attacks on it."""
        seen = observe(self.model, cohort, streams=streams, clip_norm=setting.clip_norm, noise_multiplier=setting.noise_multiplier)
        text = [row for part in cohort for row in part.tokens()]
        most = len(words_of(text))
        limits = replace(self.tolerances, stop_at=len({tuple(row) for row in text}))
        attacks: tuple[Recovered, ...] = (
            embedding_tokens(self.tables, seen, most=most, rehearsals=rehearsals),
            subspace(self.readers, seen, most=most, rehearsals=rehearsals, tolerances=limits),
            prior_only(self.tables.candidates, most=most),
        )
        return Trial.of(
            attacks, text, target=setting.batch_size, missing={"embedding-rows": self.tables.reason, "subspace": self.readers.reason}
        )


def _settings(
    batch_sizes: Sequence[int], cohorts: Sequence[int], clip_norms: Sequence[float | None], noise_multipliers: Sequence[float]
) -> tuple[Setting, ...]:
    lists = {"batch_sizes": batch_sizes, "cohorts": cohorts, "clip_norms": clip_norms, "noise_multipliers": noise_multipliers}
    for name, values in lists.items():
        if not values:
            raise InputError(f"{name} is empty; give at least one")
    if min(*batch_sizes, *cohorts, 1) < 1:
        raise InputError(f"batch_sizes {list(batch_sizes)}, cohorts {list(cohorts)}: give whole numbers >= 1")
    clip_norm = clip_norms[0] if clip_norms[0] is not None else next((norm for norm in clip_norms if norm is not None), None)
    if clip_norm is None and any(noise_multipliers):
        raise InputError(f"noise_multipliers {list(noise_multipliers)} without a clip norm; noise is a multiple of it, so give one")

    def setting(batch_size: int, cohort: int, norm: float | None, noise: float) -> Setting:
        return Setting(batch_size=batch_size, cohort=cohort, clip_norm=clip_norm if noise else norm, noise_multiplier=noise)

    base = (batch_sizes[0], cohorts[0], clip_norms[0], noise_multipliers[0])
    varied = [
        *((size, *base[1:]) for size in batch_sizes),
        *((base[0], cohort, *base[2:]) for cohort in cohorts),
        *((*base[:2], norm, base[3]) for norm in clip_norms),
        *((*base[:3], noise) for noise in noise_multipliers),
    ]
    return tuple(dict.fromkeys(setting(*values) for values in varied))


def _pool(data: Dataset, size: int) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Whose examples a client of that size may have: those of each user with enough, or without users each `size` rows in turn."""
    if not data.has(USER_ID):
        return [np.arange(start, start + size) for start in range(0, len(data) - size + 1, size)]
    users = np.array(data.user_ids())
    return [rows for rows in _by_user(users) if len(rows) >= size]


def _by_user(users: np.ndarray[tuple[int], np.dtype[np.str_]]) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    order = np.argsort(users, kind="stable")
    starts = np.flatnonzero(np.r_[True, users[order][1:] != users[order][:-1]]) if len(users) else np.empty(0, dtype=np.int64)
    yield from np.split(order, starts[1:]) if len(users) else ()


def _cohort(data: Dataset, pool: list[np.ndarray[tuple[int], np.dtype[np.int64]]], setting: Setting, streams: Streams) -> list[Dataset]:
    """Clients drawn without replacement, each with as many of its examples as the setting says; the first is the target."""
    chosen = streams.generator("clients", setting.batch_size).permutation(len(pool))[: setting.cohort]
    return [
        data.take(streams.generator("examples", setting.batch_size, int(client)).choice(pool[client], setting.batch_size, replace=False))
        for client in chosen
    ]


def _labelled(model: OpenModel, public: Dataset) -> bool:
    """Whether the model has a loss on the public text, as a rehearsal needs."""
    try:
        encoded = model.task.encode(public.take(np.arange(min(1, len(public)))), model.featuriser, model.labels)
        model.task.per_example_loss(model.module, encoded.batch(np.arange(len(encoded))).to(model.device))
    except InputError:
        return False
    return len(public) > 0
