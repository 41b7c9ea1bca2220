"""Shadow models of a stored run: the right rows, the target's vocabulary, an interrupted audit that goes on, null and leak."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from holdfast.audit.shadow import ScoreStore, balanced_column
from holdfast.cli import main
from holdfast.core.errors import InputError, StudyError
from holdfast.data import Dataset, DataSplits, Example
from holdfast.study import parse_plan, run_study
from holdfast.study.attacking import AttackSettings
from holdfast.study.auditing import audit_stored, open_stored
from holdfast.study.shadowing import FOLDER, PHASE, OneByOne, Pool, Together

pytestmark = pytest.mark.slow

STUDY = """
title = "Shadows"
[data]
source = "assistant:train=260,validation=60,test=120,users=20"
[task]
unseen_labels = "count as wrong"
[model]
embedding = 12
hidden = 12
characters = 0
dropout = 0.0
word_dropout = 0.0
[training]
epochs = 20
batch_size = 26
seed = 1
learning_rate = 0.02
[[run]]
name = "non-private"
mechanism = "none"
[[run]]
name = "dp-sgd"
mechanism = "dp-sgd"
noise_multiplier = 8.0
delta = 1e-3
clip_norm = 1.0
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("study")
    run_study(parse_plan(STUDY, origin="study.toml", folder=Path()), out, text=STUDY)
    return out / "runs"


@pytest.fixture
def runs(trained, tmp_path) -> Path:
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


def splits(*parts: list[Example]) -> DataSplits:
    names = ("train", "validation", "test")
    return DataSplits("toy", *(Dataset.from_examples(part, name="toy", split=name) for part, name in zip(parts, names, strict=True)))


def said(*words: str, label: str = "x") -> Example:
    return Example(tokens=words, label=label)


COMMON = [said("play", f"w{number % 5}", f"v{number // 5}") for number in range(60)]


def test_the_pool_has_as_many_members_as_nonmembers_and_leaves_the_rest_to_every_model():
    pool = Pool.of(splits(COMMON[:30], COMMON[50:], COMMON[30:54]), min_count=None, seed=1)
    assert len(pool.members) == len(pool.nonmembers) == 24
    assert len(pool.always) == 6
    assert {*map(tuple, pool.members.tokens())} | {*map(tuple, pool.always.tokens())} == {example.tokens for example in COMMON[:30]}
    assert pool.scored == 24 + 24 + len(pool.population)
    assert len(pool.joined()) == pool.scored + 6


def test_rows_that_the_vocabulary_betrays_are_not_attacked():
    """A word, label or tag that one member alone brought tells that member from any non-member."""
    own = [said("zebra", "play", "w1"), said("play", "w1", "w2", label="rare")]
    train, test = [*COMMON[:40], *own], [*COMMON[40:55], *[said("play", f"w{i}", f"w{j}") for i in range(5) for j in range(5)]]
    public = Pool.of(splits(train, COMMON[55:], [*test, said("yak", "play")]), min_count=None, seed=1)
    words = [word for side in (public.members, public.nonmembers, public.always) for row in side.tokens() for word in row]
    assert "zebra" in words
    assert "rare" not in public.members.labels()
    pool = Pool.of(splits(train, COMMON[55:], [*test, said("yak", "play")]), min_count=1, seed=1)
    attacked = [word for side in (pool.members, pool.nonmembers) for row in side.tokens() for word in row]
    assert not {"zebra", "yak"} & {*attacked}
    assert "zebra" in [word for row in pool.always.tokens() for word in row]


def test_copies_are_not_attacked():
    pool = Pool.of(splits([*COMMON[:36], COMMON[0], COMMON[37]], COMMON[55:], COMMON[36:]), min_count=None, seed=1)
    attacked = [tuple(row) for side in (pool.members, pool.nonmembers) for row in side.tokens()]
    assert COMMON[0].tokens not in attacked
    assert COMMON[37].tokens not in attacked


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="shadow models need 20 of each"):
        Pool.of(splits(COMMON[:40], COMMON[40:45], COMMON[45:60]), min_count=None, seed=1)


def test_a_shadow_is_trained_on_its_half_and_what_all_have(runs, monkeypatch):
    stored = open_stored(runs / "non-private")
    recipe, pool = stored.recipe(), Pool.of(stored.audited.real, min_count=1, seed=0)
    seen = []

    def train(task, data, *, mechanism, model, settings, seed, encoding):
        seen.append((data.train.tokens(), mechanism, seed, encoding))
        return stored

    monkeypatch.setattr("holdfast.study.shadowing.train", train)
    size = len(pool.members) + len(pool.nonmembers)
    included = np.stack([balanced_column(pool.scored, model, seed=0) for model in (4, 5)], 1)
    found = OneByOne(recipe, pool, 0)([4, 5], included)
    assert found.shape == (pool.scored, 2, len(stored.confidence_names))
    tokens = pool.joined().tokens()
    for (rows, mechanism, _, encoding), mine in zip(seen, included.T, strict=True):
        assert rows == [tokens[row] for row in np.flatnonzero(mine[:size])] + list(tokens[pool.scored :])
        assert (mechanism.sampler.examples, mechanism.steps) == (len(rows), recipe.mechanism.steps)
        assert encoding.labels == stored.model.labels
    assert seen[0][2] != seen[1][2]
    assert not {*map(tuple, pool.population.tokens())} & {*map(tuple, seen[0][0])}


def test_shadow_models_find_what_losses_do_not_and_the_stored_scores_are_used_again(runs, capsys):
    settings = AttackSettings(attacks=("loss-threshold", "rmia"), shadow_models=4)
    told = []
    found = audit_stored(runs / "non-private", settings=settings, on_progress=told.append)
    areas = {one.conditions["attack"]: one.value for one in found.estimates if one.name == "membership_auc"}
    assert areas["RMIA, online, 4 shadow models"] > areas["loss threshold"] > 0.6
    assert [one.done for one in told if one.phase == PHASE][-1] == 400
    (folder,) = (runs / "non-private" / FOLDER).iterdir()
    before = (folder / "scores.f32").read_bytes()
    assert main(["audit", str(runs / "non-private"), "--attack", "lira", "--shadow-models", "4", "--json"]) == 0
    assert (folder / "scores.f32").read_bytes() == before
    assert "LiRA, online, 4 shadow models" in capsys.readouterr().out


def test_noise_leaves_shadow_models_nothing_to_find(runs):
    found = audit_stored(runs / "dp-sgd", settings=AttackSettings(attacks=("lira", "shadow-classifier"), shadow_models=4))
    for one in found.estimates:
        if one.name == "membership_auc":
            assert one.interval.low < 0.5 < one.interval.high, one.conditions["attack"]


def test_an_interrupted_audit_goes_on_to_the_same_scores(runs, tmp_path):
    shutil.copytree(runs / "dp-sgd", tmp_path / "whole")
    settings = AttackSettings(attacks=("rmia",), shadow_models=4)

    def stop_after_two(progress) -> None:
        if progress.phase == PHASE and progress.done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit_stored(runs / "dp-sgd", settings=settings, on_progress=stop_after_two)
    (folder,) = (runs / "dp-sgd" / FOLDER).iterdir()
    assert ScoreStore.open(folder).missing() == [2, 3]
    audit_stored(runs / "dp-sgd", settings=settings)
    audit_stored(tmp_path / "whole", settings=settings)
    (other,) = (tmp_path / "whole" / FOLDER).iterdir()
    assert (folder / "scores.f32").read_bytes() == (other / "scores.f32").read_bytes()


def test_many_at_a_time_are_the_models_that_one_by_one_are(runs):
    """Without dropped units only rounding differs; training amplifies it."""
    stored = open_stored(runs / "non-private")
    recipe, pool = stored.recipe(), Pool.of(stored.audited.real, min_count=1, seed=0)
    included = np.stack([balanced_column(pool.scored, model, seed=0) for model in (0, 1, 2)], 1)
    alone, together = (trainer(recipe, pool, 0)([0, 1, 2], included) for trainer in (OneByOne, Together))
    assert together.shape == alone.shape
    losses = stored.confidence_names.index("loss")
    assert np.median(np.abs(together - alone)[:, :, losses]) < 1e-3
    assert np.corrcoef(together[:, :, losses].ravel(), alone[:, :, losses].ravel())[0, 1] > 0.999
    others = np.corrcoef(together[:, 0, losses], alone[:, 1, losses])[0, 1]
    assert others < 0.99  # another model is not the same


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attacks": ("lira",)}, "attack 'lira' needs shadow models"),
        ({"attacks": ("lira",), "shadow_models": 3}, "shadow_models is 3; give an even number"),
        ({"shadow_models": 4}, "no attack uses any; name one that does: attack-r, difficulty-calibration, lira"),
        ({"records": -1}, "records is -1"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_any_work(settings, message):
    with pytest.raises(InputError, match=message):
        AttackSettings(**settings)


def test_the_command_refuses_them_too(runs, capsys):
    assert main(["audit", str(runs / "dp-sgd"), "--attack", "lira"]) == 2
    assert "--shadow-models" in capsys.readouterr().err


def test_a_study_trains_shadow_models_and_plants_canaries(tmp_path):
    text = STUDY.replace(
        '[[run]]\nname = "dp-sgd"', '[audit]\nattacks = ["rmia"]\nshadow_models = 2\ncanaries = 40\n[[run]]\nname = "dp-sgd"'
    )
    plan = parse_plan(text, origin="study.toml", folder=Path())
    result = run_study(plan, tmp_path, text=text)
    record = result.records[0]
    assert record.evidence.estimate("one_run_accuracy").value > 0.8  # label noise is learned by heart
    again = audit_stored(tmp_path / "runs" / "dp-sgd", settings=AttackSettings(attacks=("rmia",), shadow_models=2))
    kept = json.loads((tmp_path / "runs" / "dp-sgd" / "record.json").read_text())
    assert [verdict["outcome"] for verdict in kept["evidence"]["verdicts"]] == [verdict.outcome for verdict in again.verdicts]
    before = result.records[1].evidence.estimate("one_run_epsilon")
    assert again.estimate("one_run_epsilon").value == before.value


def test_a_study_that_forgets_the_shadow_models_is_refused(tmp_path):
    with pytest.raises((StudyError, InputError), match="needs shadow models"):
        parse_plan(STUDY + '[audit]\nattacks = ["lira"]\n', origin="study.toml", folder=tmp_path)


def test_models_that_know_words_by_other_counts_share_no_canaries(tmp_path):
    text = STUDY + "model = { min_count = 2 }\n[audit]\ncanaries = 40\n"
    with pytest.raises(InputError, match="min_count 1, 2; with canaries give all the same"):
        run_study(parse_plan(text, origin="study.toml", folder=Path()), tmp_path, text=text)
