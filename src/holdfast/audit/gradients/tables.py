"""The embedding attack: a row of a table of words moves only if somebody in the round used a word of that row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.audit.gradients.candidates import Candidates, Recovered
from holdfast.audit.gradients.ranking import Rehearsal, ranked
from holdfast.audit.gradients.rounds import Round
from holdfast.audit.gradients.watching import CHUNK, features_of, seen_by_all
from holdfast.core.access import OpenModel
from holdfast.core.errors import InputError

FROZEN = "the tables of words are frozen, so their rows get no gradient"
NONE = "no table of the model is looked up word by word"
TIED = "the table is also the output layer, so every row gets a gradient whether its word was there or not"
ALL_MOVE = "every row of the table has moved: weight decay, momentum or an output layer that shares it moves them, not words alone"
NOISE = "noise moves every row of the table"


@dataclass(frozen=True, kw_only=True)
class WordTable:
    """A trained table of which words look up rows.

    Args:
        parameter: Its name in an update.
        tied: Whether another module holds the same parameter.
        rows: For each candidate the rows that its pieces look up and not every word does, ascending, (V,) tuples.
        shared: Rows that every word looks up, such as that of the piece that opens a sentence.
    """

    parameter: str
    tied: bool
    rows: tuple[tuple[int, ...], ...]
    shared: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class WordTables:
    """All tables of words of a model, found by watching what is looked up while it reads each candidate by itself.

    Args:
        candidates: The attacker's dictionary.
        tables: The trained ones.
        reason: Why there is none; empty where there is one.
    """

    candidates: Candidates
    tables: tuple[WordTable, ...]
    reason: str = ""

    @classmethod
    def of(cls, model: OpenModel, candidates: Candidates) -> Self:
        """Finds them. Tables of positions, types or characters are told apart: they do not give each piece a row by what it is.

        Args:
            model: The model.
            candidates: The attacker's dictionary; each word is encoded by the featuriser of the model.
        """
        looked_up = _looked_up(model, candidates.words)
        names: dict[int, list[str]] = defaultdict(list)
        for owner, part in model.module.named_modules():
            for name, parameter in part.named_parameters(owner, recurse=False):
                names[id(parameter)].append(name)
        own = {id(parameter): name for name, parameter in model.module.named_parameters()}
        tables = []
        for owner, asked in looked_up.items():
            weight = model.module.get_submodule(owner).weight
            if isinstance(weight, Tensor) and weight.requires_grad:
                shared = frozenset.intersection(*asked)
                rows = tuple(tuple(sorted(each - shared)) for each in asked)
                tied = len(names[id(weight)]) > 1
                tables.append(WordTable(parameter=own[id(weight)], tied=tied, rows=rows, shared=tuple(sorted(shared))))
        return cls(candidates=candidates, tables=tuple(tables), reason="" if tables else FROZEN if looked_up else NONE)

    def energies(self, round_: Round) -> NDArray[np.float64]:
        """The squared norm of the rows of each candidate, over all tables, (V,)."""
        found = np.zeros(len(self.candidates.words))
        for table in self.tables:
            squares = _squares(round_, table)
            found += [squares[list(rows)].sum() for rows in table.rows]
        return found

    def dimensions(self, round_: Round) -> int:
        """Numbers in the rows of one piece, over all tables."""
        return sum(round_.update[table.parameter].shape[1] for table in self.tables)


def embedding_tokens(tables: WordTables, round_: Round, *, most: int, rehearsals: Sequence[Rehearsal] = ()) -> Recovered:
    """The words of a round, from the rows of the embedding tables that have moved.

    Args:
        tables: The tables of the model that the server sent.
        round_: What was seen.
        most: True number of distinct words in the sum, told to a generous adversary; only looked at where the answer is not exact.
        rehearsals: Rounds of public text, from which the attacker learns what noise leaves of a word.

    Returns:
        Exact without noise: every word of the round that is among the candidates, and no other but one that shares its row.
        Otherwise the `most` likeliest words, by the energy of their rows and how common they are.

    Raises:
        InputError: If the round lacks the table, or has one of another shape.

    Guarantee:
        Without noise, tied or decayed tables, and in 32-bit numbers: exact for any batch, any cohort and any clipping, which only
        scales a client's gradient. A row is missed only if the gradients at all places of its word cancel to the last bit.

    Edge cases:
        Words of one bucket, and all words that the model does not know, are one row: the commonest is named, the others stand in
        `alike`. Clients that drop words in training move the row of the unknown word though none was there. For words of
        several pieces all pieces must have moved, so a word made of pieces of others may be named though it was not there.

    References:
        Melis, Song, De Cristofaro, Shmatikov 2019, "Exploiting unintended feature leakage in collaborative learning", section 4.1.
    """
    if not tables.tables:
        words = tables.candidates.best(tables.candidates.counts, most)
        return Recovered(method="embedding-rows", words=words, basis="prior", reason=tables.reason)
    reason = _why_not_exact(tables, round_)
    if not reason:
        return _exact(tables, round_)
    found = ranked(
        tables.candidates, round_, energy_of=tables.energies, dimensions=tables.dimensions(round_), most=most, rehearsals=rehearsals
    )
    among = sorted(_first_of_each(tables).values())
    return Recovered(
        method="embedding-rows", words=tables.candidates.best(found.scores, most, among=among), basis=found.basis, reason=reason
    )


def _why_not_exact(tables: WordTables, round_: Round) -> str:
    squares = [_squares(round_, table) for table in tables.tables]
    if round_.noise_std > 0:
        return NOISE
    if any(table.tied for table in tables.tables):
        return TIED
    return ALL_MOVE if all(np.all(each > 0) for each in squares) else ""


def _exact(tables: WordTables, round_: Round) -> Recovered:
    candidates = tables.candidates
    moved = [_squares(round_, table) > 0 for table in tables.tables]
    there = np.array(
        [
            all(table.rows[place] and hit[list(table.rows[place])].all() for table, hit in zip(tables.tables, moved, strict=True))
            for place in range(len(candidates.words))
        ]
    )
    first = _first_of_each(tables)
    groups: dict[int, list[str]] = defaultdict(list)
    for place in np.flatnonzero(there).tolist():
        groups[first[_key(tables, place)]].append(candidates.words[place])
    unnamed = max(
        len(set(np.flatnonzero(hit).tolist()) - {row for rows in table.rows for row in rows} - set(table.shared))
        for table, hit in zip(tables.tables, moved, strict=True)
    )
    words = candidates.best(tables.energies(round_), len(groups), among=sorted(groups))
    alike = tuple(tuple(group) for group in groups.values() if len({word.casefold() for word in group}) > 1)
    return Recovered(method="embedding-rows", words=words, basis="exact", alike=alike, unnamed=unnamed)


def _looked_up(model: OpenModel, words: Sequence[str]) -> dict[str, list[frozenset[int]]]:
    """Which rows of each table each word looks up by itself, for the tables in which that depends on the word."""
    asked: dict[str, list[frozenset[int]]] = defaultdict(list)
    at_place: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for start in range(0, len(words), CHUNK):
        chunk = words[start : start + CHUNK]
        features = features_of(model, [[word] for word in chunk])
        mask_BT = features.mask_BT.cpu().numpy()
        calls = seen_by_all(model, features, (nn.Embedding,))
        # A table that is asked several times, or for characters, does not hold one row for each piece.
        for owner in {name for name, _ in calls}:
            values = [value for name, value in calls if name == owner]
            if len(values) != 1 or values[0].shape != features.ids_BT.shape:
                continue
            for row, real in zip(values[0].cpu().numpy(), mask_BT, strict=True):
                asked[owner].append(frozenset(row[real].tolist()))
                for place, value in enumerate(row[real].tolist()):
                    at_place[owner][place].add(value)
    whole = {owner: rows for owner, rows in asked.items() if len(rows) == len(words)}
    return {owner: rows for owner, rows in whole.items() if any(len(values) > 1 for values in at_place[owner].values())}


def _key(tables: WordTables, place: int) -> tuple[tuple[int, ...], ...]:
    return tuple(table.rows[place] for table in tables.tables)


def _first_of_each(tables: WordTables) -> dict[tuple[tuple[int, ...], ...], int]:
    """The commonest candidate of those that look the same rows up."""
    first: dict[tuple[tuple[int, ...], ...], int] = {}
    for place in range(len(tables.candidates.words)):
        first.setdefault(_key(tables, place), place)
    return first


def _squares(round_: Round, table: WordTable) -> NDArray[np.float64]:
    """The squared norm of each row, (rows,)."""
    update = round_.update.get(table.parameter)
    if update is None or update.ndim != 2 or len(update) <= max(max(rows, default=0) for rows in table.rows):
        shape = None if update is None else tuple(update.shape)
        raise InputError(f"the round has {table.parameter!r} of shape {shape}, which is not that of the model; give a round of this model")
    return np.asarray(update.double().square().sum(1).cpu().numpy())
