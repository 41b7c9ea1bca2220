"""A secret as a model sees it: the loss of any fill of its unknown words, and of all of them in one enumeration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.audit.intervals import Floats
from holdfast.core.access import EmbeddedInput, Losses, OpenModel
from holdfast.core.errors import InputError
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example
from holdfast.data.secrets import SecretPattern
from holdfast.tasks import Batch

Places = NDArray[np.int64]
"""Which candidate stands at each unknown position: (K, n), each in [0, V)."""

CHUNK = 1024
"""Fills that go through the model at one time on the processor: more leave its caches, fewer are slowed by the calls."""

CHUNK_ELSEWHERE = 16 * CHUNK
"""The same on an accelerator."""

SHOWN = 5
"""Candidates that an error names; more would hide the cure."""

GATHERED = ("ids_BT", "characters_BTL")
"""What of the features differs from fill to fill; the rest is the same for all of them."""


class FillLosses(Protocol):
    """Whatever gives the losses of chosen fills of one pattern."""

    @property
    def pattern(self) -> SecretPattern:
        """The known words and the candidates."""
        ...

    @property
    def chunk(self) -> int:
        """How many fills are best asked for at one time."""
        ...

    def losses(self, places: Places) -> Floats:
        """The loss of each fill, (K,), in nats."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenFills:
    """The fills of a pattern as an open model sees them; made by `open_fills`.

    Each word is looked at alone before words meet, so V sentences hold all that the model can see of V^n fills: a batch of
    fills is a gather along their rows.

    Args:
        pattern: The known words and the candidates.
        model: The model, with its task.
        base: The V sentences in which every unknown position holds one candidate, on the model's device.
        unknown_T: Which unknown word each piece belongs to, (T,); -1 for a piece of a known word.
        states_VTD: What the model makes of each piece of the V sentences before pieces meet; None where it does not say
            that apart (`core.access.EmbeddedInput`). Then every fill goes through the whole module.
    """

    pattern: SecretPattern
    model: OpenModel
    base: Batch
    unknown_T: NDArray[np.int64]
    states_VTD: Tensor | None

    @property
    def chunk(self) -> int:
        """How many fills go through the model at one time."""
        return CHUNK if torch.device(self.model.device).type == "cpu" else CHUNK_ELSEWHERE

    def losses(self, places: Places) -> Floats:
        """The loss of each fill with the secret's own labels, (K,), in nats, in evaluation mode.

        Args:
            places: Which candidate stands at each unknown position, (K, n), each in [0, V).

        Raises:
            InputError: For another shape, or a place outside [0, V).
        """
        checked = checked_places(places, self.pattern)
        found = [self._losses(checked[start : start + self.chunk]) for start in range(0, len(checked), self.chunk)]
        return np.concatenate(found) if found else np.empty(0)

    def rows(self, places: Places) -> Tensor:
        """Which of the V sentences each piece of each fill is taken from, (K, T), on the model's device."""
        rows_KT = np.where(self.unknown_T >= 0, places[:, np.maximum(self.unknown_T, 0)], 0)
        return torch.from_numpy(rows_KT).to(self.model.device)

    def blank(self, count: int) -> Batch:
        """So many copies of the first of the V sentences, without memory of their own: masks, labels and known words are right."""
        return _with_features(self.base, count, {})

    def of_states(self, states_KTD: Tensor) -> Tensor:
        """The loss of each row from what stands for its pieces, (K,), in nats, with its graph; `states_VTD` must be there."""
        batch = self.blank(len(states_KTD))
        loss_K: Tensor = self.model.task.loss_of_logits(self.model.module.read(states_KTD, batch.features), batch)
        return loss_K

    def _losses(self, places: Places) -> Floats:
        with evaluating(self.model.module), torch.inference_mode():
            rows_KT = self.rows(places)
            pieces_T = torch.arange(rows_KT.shape[1], device=rows_KT.device)
            if self.states_VTD is not None:
                loss_K = self.of_states(self.states_VTD[rows_KT, pieces_T])
            else:
                features = {name: getattr(self.base.features, name) for name in GATHERED}
                seen = {name: table[rows_KT, pieces_T] for name, table in features.items() if table is not None}
                loss_K = self.model.task.per_example_loss(self.model.module, _with_features(self.base, len(places), seen))
            return np.asarray(loss_K.double().cpu().numpy())


@dataclass(frozen=True, kw_only=True, eq=False)
class AskedFills:
    """The fills of a pattern asked for as sentences, one by one: what an attacker with black-box access does, and a slow twin.

    Args:
        pattern: The known words and the candidates.
        model: Whatever gives one loss for each example, in evaluation mode.
    """

    pattern: SecretPattern
    model: Losses

    @property
    def chunk(self) -> int:
        """How many fills are asked for at one time."""
        return CHUNK

    def losses(self, places: Places) -> Floats:
        """The loss of each fill with the secret's own labels, (K,), in nats.

        Args:
            places: Which candidate stands at each unknown position, (K, n), each in [0, V).

        Raises:
            InputError: For another shape, or a place outside [0, V).
        """
        checked = checked_places(places, self.pattern)
        return np.asarray(self.model.losses(sentences(self.pattern, checked)), dtype=np.float64) if len(checked) else np.empty(0)


def fills_of(pattern: SecretPattern, model: Any, *, allow_alike: bool = False) -> FillLosses:
    """The fills as quickly as the model's access allows: `open_fills` for an open model, else by asking for losses.

    Args:
        pattern: The known words and the candidates.
        model: An open model (`core.access.OpenModel`), or whatever gives losses (`core.access.Losses`).
        allow_alike: See `open_fills`.

    Raises:
        InputError: For a model that gives neither, and whatever `open_fills` refuses.
    """
    if isinstance(model, OpenModel):
        return open_fills(pattern, model, allow_alike=allow_alike)
    if isinstance(model, Losses):
        return AskedFills(pattern=pattern, model=model)
    raise InputError(f"{type(model).__name__} gives no losses; give a fitted model, or anything with losses(dataset)")


def open_fills(pattern: SecretPattern, model: OpenModel, *, allow_alike: bool = False) -> OpenFills:
    """Looks at each candidate once at each unknown position.

    Args:
        pattern: The known words and the candidates.
        model: The model, opened.
        allow_alike: Whether candidates may be the same to the model. Fills that differ in them alone then tie, and a rank
            counts them all as one.

    Returns:
        What gives the loss of any fill.

    Raises:
        InputError: For a label or a tag that the model lacks, a sentence longer than it reads, candidates that are not all
            as many pieces, or candidates that are the same to the model.

    Guarantee:
        `OpenFills.losses` is what the model's own `losses` gives for the same sentences, up to the rounding of float32.
    """
    _check_labels(pattern, model)
    encoded = model.task.encode(sentences(pattern, _one_word_each(pattern)), model.featuriser, model.labels)
    base = encoded.batch(np.arange(len(pattern.candidates)))
    _check_read(pattern, base)
    unknown_T = _unknown_pieces(pattern, base)
    if not allow_alike:
        _check_apart(pattern, base, unknown_T, model)
    base = base.to(model.device)
    states_VTD = None
    module = model.module
    if isinstance(module, EmbeddedInput) and hasattr(model.task, "loss_of_logits"):
        with evaluating(model.module), torch.no_grad():
            states_VTD = module.embed(base.features)
    made = OpenFills(pattern=pattern, model=model, base=base, unknown_T=unknown_T, states_VTD=states_VTD)
    _check_mixed(made)
    return made


def every_fill(pattern: SecretPattern, *, chunk: int) -> Iterator[Places]:
    """All V^n fills in lexicographic order, at most so many at a time.

    Args:
        pattern: The known words and the candidates.
        chunk: The most fills in one piece, at least 1.
    """
    for start in range(0, pattern.size, chunk):
        yield places_at(np.arange(start, min(start + chunk, pattern.size)), pattern)


def places_at(indices: NDArray[np.int64], pattern: SecretPattern) -> Places:
    """The fills that stand at these places of the lexicographic order, (K, n)."""
    worth = len(pattern.candidates) ** np.arange(pattern.length - 1, -1, -1, dtype=np.int64)
    return np.asarray(indices[:, None] // worth % len(pattern.candidates))


def place_of(places: Sequence[int], pattern: SecretPattern) -> int:
    """Where one fill stands in the lexicographic order, from 0."""
    index = 0
    for place in places:
        index = index * len(pattern.candidates) + int(place)
    return index


def every_loss(fills: FillLosses, *, on_progress: OnProgress = silent) -> Floats:
    """The loss of every fill in lexicographic order, (V^n,), in nats.

    Args:
        fills: What gives the losses.
        on_progress: Told after each chunk; an error that it raises stops the enumeration.
    """
    pattern = fills.pattern
    found, done = np.empty(pattern.size), 0
    for places in every_fill(pattern, chunk=fills.chunk):
        found[done : done + len(places)] = fills.losses(places)
        done += len(places)
        on_progress(Progress(phase=f"rank {pattern.name}", done=done, total=pattern.size))
    return found


def random_fills(pattern: SecretPattern, *, count: int, generator: np.random.Generator) -> Places:
    """Fills drawn uniformly and independently, (count, n); the same one may come twice."""
    return generator.integers(0, len(pattern.candidates), (count, pattern.length))


def sentences(pattern: SecretPattern, places: Places) -> Dataset:
    """Fills as labelled sentences."""
    like = Example(tokens=pattern.words([0] * pattern.length), label=pattern.label, tags=pattern.tags)
    return pattern.dataset(places, like=Dataset.from_examples([like], name=f"fills of {pattern.name}", split="fills"))


def checked_places(places: Any, pattern: SecretPattern) -> Places:
    """Fills as whole numbers, (K, n).

    Raises:
        InputError: For another shape, or a place outside [0, V).
    """
    given, V, n = np.asarray(places), len(pattern.candidates), pattern.length
    if given.ndim != 2 or given.shape[1] != n or given.dtype.kind not in "iu":
        raise InputError(f"fills have shape {given.shape} and type {given.dtype}; give whole numbers (K, {n}), one for each unknown word")
    if given.size and not 0 <= given.min() <= given.max() < V:
        raise InputError(f"fills name candidates {given.min()} to {given.max()}; there are {V}, from 0 to {V - 1}")
    return given.astype(np.int64, copy=False)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for the time of the block."""
    mode = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(mode)


def _one_word_each(pattern: SecretPattern) -> Places:
    return np.repeat(np.arange(len(pattern.candidates))[:, None], pattern.length, axis=1)


def _with_features(base: Batch, count: int, gathered: dict[str, Tensor]) -> Batch:
    """A batch that has the first row of the base so many times, but for the features that are given."""

    def spread(value: Tensor) -> Tensor:
        return value[:1].expand(count, *value.shape[1:])

    held = {field.name: getattr(base.features, field.name) for field in fields(base.features)}
    features = {name: spread(value) for name, value in held.items() if isinstance(value, Tensor) and name not in gathered}
    return replace(
        base,
        features=replace(base.features, **features, **gathered),
        words=np.repeat(base.words[:1], count),
        sentence_B=None if base.sentence_B is None else spread(base.sentence_B),
        tokens_BW=None if base.tokens_BW is None else spread(base.tokens_BW),
    )


def _check_labels(pattern: SecretPattern, model: OpenModel) -> None:
    cure = "plant the secret with it before training, or give the pattern a label and a slot of the data"
    if model.labels.sentence and pattern.label not in model.labels.sentence:
        raise InputError(f"secret {pattern.name!r}: the model has no label {pattern.label!r}; {cure}")
    lacking = sorted(set(pattern.tags) - set(model.labels.tokens)) if model.labels.tokens else []
    if lacking:
        raise InputError(f"secret {pattern.name!r}: the model has no tag {', '.join(lacking)}; {cure}")


def _check_read(pattern: SecretPattern, base: Batch) -> None:
    """Refuses a secret of which the model does not see every word, or sees candidates in different numbers of pieces."""
    read_V = base.features.word_mask_BW.sum(1)
    if int(read_V.min()) < int(base.words[0]):
        where = pattern.candidates[int(read_V.argmin())]
        raise InputError(
            f"secret {pattern.name!r}: the model reads {int(read_V.min())} of the {int(base.words[0])} words (with {where!r}); "
            "make the secret shorter, or train the model with a larger max_length"
        )
    pieces_V = base.features.mask_BT.sum(1)
    words_BW = base.features.words_BW
    first = words_BW if words_BW is not None else pieces_V[:, None]
    other = ((first != first[0]).any(1) | (pieces_V != pieces_V[0])).nonzero()[:, 0].tolist()
    if other:
        names = ", ".join(repr(pattern.candidates[place]) for place in other[:SHOWN])
        raise InputError(
            f"secret {pattern.name!r}: to the model {names} {'is' if len(other) == 1 else 'are'} not as many pieces as "
            f"{pattern.candidates[0]!r}; choose candidates that it cuts into equally many"
        )


def _unknown_pieces(pattern: SecretPattern, base: Batch) -> NDArray[np.int64]:
    """Which unknown word each piece belongs to, (T,); -1 for a piece of a known word."""
    starts_BW, T = base.features.words_BW, base.features.mask_BT.shape[1]
    starts = list(range(T)) if starts_BW is None else starts_BW[0].tolist()
    unknown_T = np.full(T, -1, dtype=np.int64)
    for place, word in enumerate(pattern.unknown):
        end = starts[word + 1] if word + 1 < len(starts) else T
        unknown_T[starts[word] : end] = place
    return unknown_T


def _check_apart(pattern: SecretPattern, base: Batch, unknown_T: NDArray[np.int64], model: OpenModel) -> None:
    """Refuses candidates that are one and the same to the model."""
    seen = [getattr(base.features, name) for name in GATHERED]
    pieces = np.flatnonzero(unknown_T >= 0)
    parts_VN = np.concatenate([table[:, pieces].flatten(1).numpy() for table in seen if table is not None], 1)
    kinds: dict[bytes, list[str]] = {}
    for word, row in zip(pattern.candidates, parts_VN, strict=True):
        kinds.setdefault(row.tobytes(), []).append(word)
    alike = [words for words in kinds.values() if len(words) > 1]
    if not alike:
        return
    shown = "; ".join(", ".join(map(repr, words[:SHOWN])) for words in alike[:SHOWN])
    if model.featuriser.vocabulary_is_public:
        why = "they fall into one bucket or lie outside its vocabulary; give it more buckets, characters, or choose other candidates"
    else:
        why = (
            "its vocabulary was read off the training text and does not hold them all, so it already gives away which words stood there; "
            "plant text with every candidate (plant_secrets), use the vocabulary 'hashed' or characters, or choose other candidates"
        )
    raise InputError(f"secret {pattern.name!r}: these candidates are the same to the model: {shown}; {why}; or allow them (allow_alike)")


def _check_mixed(fills: OpenFills) -> None:
    """Holds the gather to the featuriser at one fill of different words: a word must not be cut by its neighbours."""
    pattern, model = fills.pattern, fills.model
    mixed = np.arange(pattern.length)[None] % len(pattern.candidates)
    encoded = model.task.encode(sentences(pattern, mixed), model.featuriser, model.labels)
    wanted = encoded.batch(np.arange(1)).features.ids_BT.to(model.device)
    rows_1T = fills.rows(mixed)
    given = fills.base.features.ids_BT[rows_1T, torch.arange(rows_1T.shape[1], device=rows_1T.device)]
    if not torch.equal(given, wanted):
        raise InputError(
            f"secret {pattern.name!r}: the model cuts a word into pieces by its neighbours, so fills cannot be put together from "
            "candidates; ask it for losses instead (AskedFills)"
        )
