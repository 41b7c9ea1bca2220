"""Fast counts against slow twins, on whatever hypothesis thinks of: ties, empty groups, terms of one item, answers that are none."""

import difflib
import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.data.benchmarks import UNPARSED, BBQItem
from holdfast.fairness.inference import Inference
from holdfast.fairness.language.access import Pieces
from holdfast.fairness.likelihood import Preferences, bbq_scores, domain_scores, preference_shares
from holdfast.fairness.likelihood.crows_pairs import align, scorable
from holdfast.fairness.likelihood.pronouns import randomisation_test, system_pairs
from holdfast.fairness.likelihood.stereoset import Triplets, term_scores

FEW = Inference(replicates=100, permutations=100)
QUICK = settings(max_examples=60, deadline=None)
SCORES = st.sampled_from([-1.0, 0.0, 0.5, 2.0, math.nan])


def pieces(ids: list[int]) -> Pieces:
    """A sentence between two special pieces; 2 is the unknown one."""
    whole = np.array([0, *ids, 1], dtype=np.int64)
    places = np.array([-1, *range(len(ids)), -1], dtype=np.int64)
    return Pieces(whole, places, np.where(places < 0, -1, places + 1), whole != 2)


IDS = st.lists(st.integers(2, 6), max_size=8)


@QUICK
@given(IDS, IDS)
def test_every_own_piece_is_shared_or_changed(first: list[int], second: list[int]):
    one, two = pieces(first), pieces(second)
    found = align(one, two)
    for side, given_pieces in enumerate((one, two)):
        assert sorted([*found.same[side], *found.changed[side]]) == list(range(1, len(given_pieces) - 1))
    assert (one.ids[found.same[0]] == two.ids[found.same[1]]).all()


@QUICK
@given(IDS, IDS)
def test_the_alignment_is_that_of_the_published_code(first: list[int], second: list[int]):
    """It takes the blocks called "equal" over texts of the numbers, and leaves out the first and the last."""
    one, two = pieces(first), pieces(second)
    codes = difflib.SequenceMatcher(None, [str(x) for x in one.ids], [str(x) for x in two.ids]).get_opcodes()
    equal = [(a + k, b + k) for tag, a, end, b, _ in codes if tag == "equal" for k in range(end - a)]
    inner = [(a, b) for a, b in equal if 0 < a < len(one) - 1 and 0 < b < len(two) - 1]
    found = align(one, two)
    assert list(zip(found.same[0].tolist(), found.same[1].tolist(), strict=True)) == inner


@QUICK
@given(IDS)
def test_a_sentence_cannot_be_told_from_itself(ids: list[int]):
    one = pieces(ids)
    assert not scorable(one, one, align(one, one))


@QUICK
@given(st.lists(st.tuples(SCORES, SCORES, st.sampled_from("xyz"), st.sampled_from(["stereo", "antistereo"])), max_size=25))
def test_shares_are_those_of_a_plain_count(rows: list[tuple[float, float, str, str]]):
    more, less, categories, directions = zip(*rows, strict=True) if rows else ((), (), (), ())
    found = Preferences(np.array(more, dtype=float), np.array(less, dtype=float), categories, directions)
    for share in preference_shares(found, level=0.9):
        chosen = [
            (a, b) for a, b, category, direction in rows if share.category in ("all", category) and share.direction in ("both", direction)
        ]
        scored = [(a, b) for a, b in chosen if not (math.isnan(a) or math.isnan(b))]
        assert share.n == len(scored)
        assert share.undefined == len(chosen) - len(scored)
        assert share.preferred == sum(a > b for a, b in scored)
        assert share.neutral == sum(a == b for a, b in scored)
        assert math.isnan(share.low) == (not scored)
        if scored:
            assert share.low <= share.share <= share.high


@QUICK
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=20))
def test_swapping_the_sentences_swaps_the_preferences(rows: list[tuple[float, float]]):
    more, less = (np.array(side, dtype=float) for side in zip(*rows, strict=True))
    names, ways = ("x",) * len(rows), ("stereo",) * len(rows)
    one = preference_shares(Preferences(more, less, names, ways), level=0.95)[0]
    other = preference_shares(Preferences(less, more, names, ways), level=0.95)[0]
    assert one.preferred + other.preferred + one.neutral == one.n
    assert (one.neutral, one.undefined) == (other.neutral, other.undefined)
    assert one.p_value == pytest.approx(other.p_value, nan_ok=True)


THREE = [st.sampled_from([0.0, 1.0, 2.0])] * 3
TRIPLETS = st.lists(st.tuples(*THREE, st.sampled_from("abcd"), st.sampled_from(["race", "gender"])), min_size=1, max_size=20)


@QUICK
@given(TRIPLETS)
def test_stereoset_is_that_of_the_published_counters(rows: list[tuple[float, float, float, str, str]]):
    """The loop of the published evaluation, with its counters by term."""
    counters: dict[str, Counter[str]] = defaultdict(Counter)
    for stereo, anti, unrelated, term, _ in rows:
        counters[term]["pro"] += stereo > anti
        counters[term]["related"] += (stereo > unrelated) + (anti > unrelated)
        counters[term]["total"] += 1
    found = Triplets(np.array([row[:3] for row in rows]), tuple(row[3] for row in rows), tuple(row[4] for row in rows))
    terms = term_scores(found)
    assert terms.names == tuple(sorted(counters))
    for at, name in enumerate(terms.names):
        assert terms.ss[at] == pytest.approx(counters[name]["pro"] / counters[name]["total"])
        assert terms.lms[at] == pytest.approx(counters[name]["related"] / counters[name]["total"] / 2)


@settings(max_examples=15, deadline=None)
@given(TRIPLETS)
def test_domains_are_scored_as_if_alone(rows: list[tuple[float, float, float, str, str]]):
    found = Triplets(np.array([row[:3] for row in rows]), tuple(row[3] for row in rows), tuple(row[4] for row in rows))
    scores = {one.domain: one for one in domain_scores(found, inference=FEW, generator=np.random.default_rng(0))}
    for domain in {row[4] for row in rows}:
        alone = found.where(np.array(found.domains, dtype=object) == domain)
        whole = domain_scores(alone, inference=FEW, generator=np.random.default_rng(0))[0]
        assert scores[domain].values == pytest.approx(whole.values)
        assert scores[domain].items == whole.items
    for one in scores.values():
        lms, ss = one.values["lms"], one.values["ss"]
        assert one.values["icat"] == pytest.approx(lms * min(ss, 100 - ss) / 50)
        assert 0 <= one.values["icat"] <= one.values["lms"] <= 100


ROLES = list(itertools.permutations(("target", "non-target", "unknown")))
QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from(["neg", "nonneg"]),
        st.sampled_from(["ambig", "disambig"]),
        st.sampled_from(["Age", "Religion"]),
        st.booleans(),
        st.integers(0, 3),
        st.sampled_from(ROLES),
        st.sampled_from([UNPARSED, 0, 1, 2]),
    ),
    min_size=1,
    max_size=25,
)


def plain_scores(rows: list[tuple[BBQItem, int]]) -> dict[str, float]:
    """The published formulas, question by question."""
    found: dict[str, float] = {}
    for condition, name in (("ambig", "s_amb"), ("disambig", "s_dis")):
        asked = [(item, one) for item, one in rows if item.condition == condition]
        parsed = [(item, item.roles[one]) for item, one in asked if one != UNPARSED]
        people = [(item, role) for item, role in parsed if role != "unknown"]
        biased = sum((role == "target") == (item.polarity == "neg") for item, role in people)
        score = 2 * biased / len(people) - 1 if people else math.nan
        unknown = len(parsed) - len(people)
        found[name] = (1 - unknown / len(parsed)) * score if people and condition == "ambig" else score
        right = sum(one == item.label for item, one in asked)
        found[f"accuracy_{condition}"] = right / len(asked) if asked else math.nan
    found["unparsed"] = sum(one == UNPARSED for _, one in rows) / len(rows)
    return found


@settings(max_examples=30, deadline=None)
@given(QUESTIONS)
def test_bbq_is_that_of_the_published_formulas(drawn: list[tuple]):
    rows = []
    for polarity, condition, category, name, template, roles, one in drawn:
        label = roles.index("unknown") if condition == "ambig" else roles.index("target")
        rows.append((BBQItem(category, 0, str(template), polarity, condition, "c", "q", ("a", "b", "c"), label, roles, name), one))
    scores = bbq_scores(*map(list, zip(*rows, strict=True)), inference=FEW, generator=np.random.default_rng(0))  # type: ignore[arg-type]
    for part in scores:
        chosen = [
            (item, one)
            for item, one in rows
            if part.category == "all" or (item.category, "names" if item.is_name else "labels") == (part.category, part.terms)
        ]
        expected = plain_scores(chosen)
        for key, number in part.numbers.items():
            assert number.value == pytest.approx(expected[key], abs=1e-12, nan_ok=True), (part.category, key)
            if not math.isnan(number.low):
                assert number.low <= number.value <= number.high
    assert len(scores) == 1 + len({(item.category, item.is_name) for item, _ in rows})


def test_the_random_swaps_are_those_of_all_swaps():
    """Of ten pairs all 1,024 swaps can be counted; the drawn ones come near, for F1 as for accuracy."""
    rng = np.random.default_rng(4)
    for kind in ("accuracy", "F1"):
        sides = []
        for share in (0.8, 0.4):
            right = rng.random(10) < share
            sides.append({str(at): bool(one) if kind == "accuracy" else (int(one), 1 + at % 2, 1) for at, one in enumerate(right)})
        found = system_pairs(*sides)  # type: ignore[arg-type]

        def gap(swapped: tuple[int, ...], pro: np.ndarray = found.pro_n3, anti: np.ndarray = found.anti_n3) -> float:
            kept = np.array(swapped, dtype=bool)[:, None]
            first, second = np.where(kept, anti, pro).sum(0), np.where(kept, pro, anti).sum(0)
            return abs(2 * first[0] / (first[1] + first[2]) - 2 * second[0] / (second[1] + second[2]))

        every = [gap(swapped) for swapped in itertools.product((0, 1), repeat=10)]
        exact = np.mean([one >= every[0] - 1e-12 for one in every])
        drawn = randomisation_test(found, inference=Inference(permutations=20_000), generator=np.random.default_rng(0))
        assert drawn == pytest.approx(exact, abs=0.015), kind
