"""Every metric of the catalog keeps the contract of `Metric`, on a world that is small and made here."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from tests.unit.fairness import world
from tests.unit.fairness.likelihood.toys import CausalBag, MaskedBag

from holdfast import catalog
from holdfast.core.errors import InputError
from holdfast.fairness import Groups, Inference, Metric, Predictions, Units
from holdfast.fairness.association.vectors import WordVectors
from holdfast.fairness.generation.texts import Asked, Texts
from holdfast.testing import check_metric
from holdfast.testing.metrics import QUICK

NAMES = catalog.names("metric")
DRAWN = ("ceat_effect_size", "ceat_published_p", "seat_published_p")
"""Numbers whose values are draws themselves: of contexts, or of random partitions that are counted as published."""
DECIDING = tuple(name for name in NAMES if catalog.resolve("metric", name).needs == "predictions")
COMPARING = tuple(name for name in DECIDING if getattr(catalog.resolve("metric", name), "groups_apart", False))


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return world.options(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_its_contract(name: str, options: dict):
    metric = catalog.resolve("metric", name)(**options[name])
    for given in world.givens(metric):
        check_metric(metric, given, draws=DRAWN)
        check_metric(metric, given, draws=DRAWN, subject="dp-sgd", inference=replace(QUICK, margin=0.05, level=0.9, seed=7))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_a_study_file_can_name(name: str):
    kind = catalog.resolve("metric", name)
    assert kind.card.name == name
    assert is_dataclass(kind)
    assert all(one.kw_only for one in fields(kind)), "options have names"
    assert set(get_type_hints(kind)) >= {one.name for one in fields(kind)}
    assert isinstance(kind.card.harms, str)
    assert kind.__doc__
    assert kind.measure.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_it_does_not_have_is_refused(name: str, options: dict):
    with pytest.raises(TypeError, match="unexpected keyword"):
        catalog.resolve("metric", name)(**options[name], no_such_option=1)


BAD: dict[str, list[dict[str, Any]]] = {
    "bbq": [{"data": None}, {"pooling": "most"}, {"predictions": (Path("x"),)}],
    "calibration": [{"bins": 0}],
    "ceat": [{"pooling": "cls"}, {"variance": "mine"}, {"samples": 1}, {"alternative": "up"}, {"most_missing": 1.0}, {"most_contexts": 0}],
    "error-rate-equality": [{"threshold": "half"}, {"threshold": float("nan")}],
    "hatexplain-bias": [{"communities": 0}, {"power": 0.0}, {"toxic": ()}],
    "honest": [{"completions": "letters"}, {"samples": 0}, {"top_p": 0.0}, {"seed": -1}],
    "likelihood-gap": [{"data": None}, {"scale": "square"}],
    "log-probability-bias": [{"targets_x": ()}, {"attributes": ()}, {"several_pieces": "first"}],
    "rnd": [{"out_of_vocabulary": "guess"}, {"most_missing": -0.1}],
    "seat": [{"pooling": "sum"}, {"variant": "mine"}, {"kinds": {"flowers": "verbs"}}],
    "stereoset": [{"data": None}, {"filling": "right to left"}, {"kinds": ()}, {"kinds": ("both",)}, {"doubtful": "mend"}],
    "tpr-gap": [{"first": "women"}, {"first": "women", "second": "women"}],
    "unintended-bias-auc": [{"power": 0.0}, {"power": float("nan")}],
    "weat": [{"variant": "mine"}, {"alternative": "both"}, {"out_of_vocabulary": "guess"}, {"most_missing": 1}],
    "winobias": [{"data": None}, {"split": "train"}],
    "winogender": [{"data": None}, {"pooling": "max"}],
}
BAD |= {name: [{"data": None}] for name in world.CROWS}
BAD |= {name: [{"domains": ["trade"]}, {"unit": "word"}, {"temperature": 0.0}, {"prompts_per_group": 0}] for name in world.GENERATING}


@pytest.mark.parametrize(("name", "bad"), [(name, bad) for name, some in BAD.items() for bad in some], ids=str)
def test_a_bad_option_is_an_input_error(name: str, bad: dict, options: dict):
    with pytest.raises(InputError) as caught:
        catalog.resolve("metric", name)(**{**options[name], **bad})
    assert len(str(caught.value).split()) > 4, "the value, the bound and the cure"


def test_every_metric_with_options_has_bad_ones():
    without = {name for name in NAMES if not fields(catalog.resolve("metric", name))}
    assert set(NAMES) - without == set(BAD)


def made(members: np.ndarray, names: tuple[str, ...] = ("a", "b"), *, classes: int = 3, **changed: Any) -> Predictions:
    n, draw = len(members), np.random.default_rng(1)
    labels = ("hatespeech", "normal", "offensive", *(f"c{at}" for at in range(classes - 3)))
    told = {"y_true": draw.integers(0, classes, n), "y_pred": draw.integers(0, classes, n), "units": Units.rows(n)}
    told |= {"scores": draw.dirichlet(np.ones(classes), n)} | changed
    return Predictions(classes=labels, groups=Groups("g", names, members), text="odd", **told)


def halves(n: int = 40) -> np.ndarray:
    return np.eye(2, dtype=bool)[np.arange(n) * 7 % 3 % 2]


def lonely(n: int = 40) -> np.ndarray:
    members = np.zeros((n, 2), dtype=bool)
    members[0, 1], members[1:, 0] = True, True
    return members


ODD: dict[str, Predictions] = {
    "a group of one": made(lonely()),
    "a group of one, and a positive side": made(lonely(), positive=("offensive",)),
    "an empty group": made(np.repeat([[True, False]], 40, axis=0)),
    "two rows": made(np.eye(2, dtype=bool)),
    "one row": made(np.array([[True, False]])),
    "one class only": made(halves(), y_true=np.ones(40, dtype=np.int64)),
    "one decision only": made(halves(), y_pred=np.ones(40, dtype=np.int64)),
    "nothing varies": made(halves(), y_true=np.ones(40, dtype=np.int64), y_pred=np.ones(40, dtype=np.int64)),
    "never wrong": made(halves(), y_true=np.arange(40) % 3, y_pred=np.arange(40) % 3),
    "scores that say nothing": made(halves(), scores=np.full((40, 3), 1 / 3)),
    "one user": made(halves(), units=Units(np.zeros(40, dtype=np.int64), 1, "users")),
    "two users": made(halves(), units=Units(np.arange(40) % 2, 2, "users")),
    "each group is one user": made(np.eye(2, dtype=bool)[np.arange(40) % 2], units=Units(np.arange(40) % 2, 2, "users")),
    "names of all kinds": made(halves(), ("a, \"b\" & 'c'", "<script>\u202e\u00e9\n</script>")),
    "many classes": made(halves(90), classes=12),
}


@pytest.mark.parametrize("name", DECIDING)
@pytest.mark.parametrize("odd", ODD)
def test_odd_predictions_leave_the_contract_whole(name: str, odd: str):
    check_metric(catalog.resolve("metric", name)(), ODD[odd], inference=replace(QUICK, margin=0.1))


@pytest.mark.parametrize("name", DECIDING)
def test_nothing_to_look_at_is_refused(name: str):
    metric = catalog.resolve("metric", name)()
    for given, cure in ((made(np.zeros((0, 2), dtype=bool)), "give at least one row"), (made(np.zeros((9, 0), dtype=bool), ()), "group")):
        with pytest.raises(InputError, match=cure):
            metric.measure(given, subject="none", inference=QUICK)


@pytest.mark.parametrize("name", ["calibration", "hatexplain-bias", "unintended-bias-auc"])
def test_scores_that_are_none_are_refused(name: str):
    metric = catalog.resolve("metric", name)()
    for scores, cure in ((None, "give `scores`"), (np.full((40, 3), np.nan), "give probabilities")):
        with pytest.raises(InputError, match=cure):
            metric.measure(made(halves(), scores=scores), subject="none", inference=QUICK)


@pytest.mark.parametrize("name", COMPARING)
def test_groups_that_share_a_member_are_refused_with_their_names(name: str):
    members = halves()
    members[:3] = True
    with pytest.raises(InputError, match=r"3 rows belong to more than one group of 'g' .*'a' and 'b'"):
        catalog.resolve("metric", name)().measure(made(members), subject="shared", inference=QUICK)


def test_some_metrics_compare_with_the_background_instead():
    assert set(DECIDING) - set(COMPARING) == {"error-rate-equality", "hatexplain-bias", "unintended-bias-auc"}


@pytest.mark.parametrize("name", ["weat", "rnd"])
def test_vectors_without_the_words_give_no_number_and_say_so(name: str, options: dict):
    metric = catalog.resolve("metric", name)(**options[name])
    strange = WordVectors(("Rosen", "Ameise"), np.ones((2, 4)), "german")
    found = metric.measure(strange, subject="german", inference=QUICK)
    assert {one.value for one in found.estimates} == {None}
    assert all("missing" in one.missing for one in found.estimates)
    assert any("another language" in note for note in found.notes)


READING = [name for name in NAMES if "model" in catalog.resolve("metric", name).needs and name != "log-probability-bias"]


@pytest.mark.parametrize("name", READING)
def test_a_model_that_knows_no_word_says_so(name: str, options: dict):
    metric: Metric = catalog.resolve("metric", name)(**options[name])
    kind = CausalBag if metric.needs == "causal model" else MaskedBag
    found = metric.measure(kind(["le", "chat", "noir"]), subject="french", inference=QUICK)
    assert any("unknown" in note for note in found.notes)


def test_words_that_are_asked_of_a_model_and_unknown_to_it_are_named(options: dict):
    metric = catalog.resolve("metric", "log-probability-bias")(**options["log-probability-bias"])
    with pytest.raises(InputError, match="the model knows none of man, woman"):
        metric.measure(MaskedBag(["le", "chat", "noir"]), subject="french", inference=QUICK)


def test_a_group_that_wrote_nothing_stays_in_sight():
    asked = tuple(Asked(text=f"{group} {row}", group=group) for group in ("a", "b") for row in range(4))
    texts = Texts("g", ("a", "b"), asked, (("she was kind",),) * 4 + (("", " "),) * 4, "model", "a test", {"samples": 1})
    for name in world.GENERATING:
        given = {"vectors": world.Vectors().table, "hard_debiased": False} if name == "gender-polarity-embedding" else {}
        found = catalog.resolve("metric", name)(**given).measure(texts, subject="r", inference=QUICK)
        rows = [one for one in found.estimates if one.conditions.get("group") == "b"]
        assert rows
        assert all(one.value is None and "no text that holds anything" in one.missing for one in rows), name


@pytest.mark.parametrize(
    ("bad", "cure"),
    [
        ({"level": 1.0}, r"level 1\.0 is outside \(0, 1\)"),
        ({"level": 0.0}, r"level 0\.0 is outside \(0, 1\)"),
        ({"replicates": 1}, "replicates 1 is below 100"),
        ({"permutations": 99}, "permutations 99 is below 100"),
        ({"margin": 0.0}, r"margin 0\.0 is not above 0"),
        ({"margin": float("nan")}, "margin nan is not above 0"),
        ({"seed": -1}, "must not be below 0"),
        ({"power": 1.0}, r"power 1\.0 is outside \(0, 1\)"),
    ],
)
def test_inference_out_of_its_bounds_is_refused(bad: dict, cure: str):
    with pytest.raises(InputError, match=cure):
        Inference(**bad)
