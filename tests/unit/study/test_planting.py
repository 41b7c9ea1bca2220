"""What a study plants: canaries and secrets, for all runs or for one, found again from the seeds alone."""

from pathlib import Path

import pytest

from holdfast.core.errors import InputError, StudyError
from holdfast.data import Dataset, load_data
from holdfast.models import settings
from holdfast.study import parse_plan, run_study
from holdfast.study.planting import AuditedData, check_readable, patterns_of, planted
from holdfast.tasks import IntentSlot

STUDY = """
title = "Secrets"
[data]
source = "assistant:train=400,validation=40,test=40,users=20"
[model]
vocabulary = "hashed"
[training]
epochs = 1
batch_size = 20
[audit]
secrets = [{ pattern = "pin", length = 4, repetitions = 10 }, { pattern = "color", length = 2, repetitions = 0 }]
secret_seed = 3
[[run]]
name = "common"
mechanism = "none"
[[run]]
name = "own"
mechanism = "none"
secrets = [{ pattern = "safe", template = "the safe opens with {} {} today", candidates = ["red", "blue"], repetitions = 2 }]
cell = { defence = "none", length = 2 }
"""
HASHED = [settings("bilstm", {"vocabulary": "hashed"})]


def parse(text: str = STUDY):
    return parse_plan(text, origin="study.toml", folder=Path())


@pytest.fixture(scope="module")
def data():
    return load_data("assistant:train=400,validation=40,test=40,users=20")


def test_a_run_may_have_secrets_of_its_own():
    plan = parse()
    common, own = (plan.audit_of(run) for run in plan.run)
    assert common == plan.audit
    assert [(one.name, one.length, times) for one, times in patterns_of(common)] == [("pin", 4, 10), ("color", 2, 0)]
    ((safe, times),) = patterns_of(own)
    assert (safe.before, safe.after, safe.size, times) == (("the", "safe", "opens", "with"), ("today",), 4, 2)
    assert own.secret_seed == 3
    assert plan.run[1].cell == {"defence": "none", "length": 2}


def test_secrets_follow_from_the_seed_and_stand_in_the_training_part_alone(data):
    table = parse().audit
    first, again = planted(data, table, HASHED), planted(data, table, HASHED)
    other = planted(data, table.model_copy(update={"secret_seed": 4}), HASHED)
    assert first.data.content_hash == again.data.content_hash != other.data.content_hash
    pin = first.secrets.secrets[0]
    rows = [tuple(row) for row in first.data.train.tokens()]
    assert rows.count(pin.words) == 10
    assert len(rows) == 410
    assert first.data.test.content_hash == data.test.content_hash
    assert first.real.train.content_hash == data.train.content_hash


def test_canaries_and_secrets_go_together_and_none_of_them_is_a_real_row(data):
    table = parse().audit.model_copy(update={"canaries": 40})
    both = planted(data, table, HASHED)
    assert len(both.real.train) == 360  # mislabelled rows are taken out of the data
    assert both.real.train.content_hash == both.canaries.rest.content_hash
    assert len(both.data.train) == 360 + both.canaries.included.sum() + 10


def test_a_vocabulary_of_the_training_text_must_know_the_words_without_the_secret(data):
    table = parse().audit.model_copy(update={"secrets": parse().run[1].secrets})
    strange = table.model_copy(update={"secrets": (table.secrets[0].model_copy(update={"candidates": ("xylo", "blue")}),)})
    assert planted(data, strange, HASHED).secrets is not None
    with pytest.raises(InputError, match="xylo"):
        planted(data, strange, [*HASHED, settings("bilstm", {"vocabulary": "train"})])


def test_nothing_planted_is_the_data_themselves(data):
    bare = AuditedData(data)
    assert bare.real is data


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("length = 4, ", "", "secret 'pin': give length, or a template"),
        ("repetitions = 10", "repetition = 10", r"unknown key 'audit.secrets.1.repetition'; did you mean 'repetitions'"),
        ('pattern = "pin"', 'pattern = "pim"', "did you mean 'pin'"),
        ("length = 4", "length = 0", "audit.secrets.1.length"),
        ("{} {} today", "{} and {} today", "side by side"),
        ("secret_seed = 3", 'secret_seed = 3\nattacks = ["gradiant"]', "did you mean 'gradient'"),
    ],
)
def test_mistakes_are_found_when_the_study_is_read(old, new, says):
    assert old in STUDY
    with pytest.raises(InputError, match=says):
        parse(STUDY.replace(old, new, 1))


def test_an_attack_on_secrets_needs_secrets():
    bare = STUDY.replace("secrets = [{ pattern", "#", 1).replace("secret_seed = 3", 'attacks = ["inversion"]')
    with pytest.raises((StudyError, InputError), match="run 'common': attack 'inversion' looks for planted secrets"):
        parse(bare)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (("transformer", {"vocabulary": "hashed", "max_length": 6}), "reads 6 of the 8 words"),
        (("bilstm", {"vocabulary": "hashed", "buckets": 3, "characters": 0}), "are the same to the model.*more buckets"),
    ],
)
def test_secrets_that_a_model_could_not_be_asked_for_are_refused_before_training(data, model, says):
    with_secrets = planted(data, parse().audit, HASHED)
    check_readable(with_secrets, IntentSlot(unseen_labels="count as wrong"), HASHED[0])
    with pytest.raises(InputError, match=says):
        check_readable(with_secrets, IntentSlot(unseen_labels="count as wrong"), settings(*model))


class Prompted(IntentSlot):
    """Reads two words more than are said."""

    def words(self, dataset: Dataset) -> list[list[str]]:
        return [[*row, "xylo", "yklo"] for row in dataset.tokens()]


def test_the_model_knows_the_words_that_the_task_lets_it_read(data):
    secret = parse().run[1].secrets[0].model_copy(update={"candidates": ("xylo", "yklo"), "repetitions": 1})
    found = planted(data, parse().audit.model_copy(update={"secrets": (secret,)}), HASHED)
    rare = settings("bilstm", {"vocabulary": "train", "min_count": 3, "characters": 0})  # a fill holds a word twice at most
    check_readable(found, Prompted(unseen_labels="count as wrong"), rare)
    with pytest.raises(InputError, match="are the same to the model"):
        check_readable(found, IntentSlot(unseen_labels="count as wrong"), rare)


def test_a_control_alone_has_no_label_of_its_own(data):
    table = parse().audit
    alone = planted(data, table.model_copy(update={"secrets": table.secrets[1:]}), HASHED)
    with pytest.raises(InputError, match="the model has no label 'canary'"):
        check_readable(alone, IntentSlot(unseen_labels="count as wrong"), HASHED[0])


def test_a_study_finds_such_secrets_before_anything_is_trained(tmp_path):
    short = STUDY.replace('vocabulary = "hashed"', 'name = "transformer"\nvocabulary = "hashed"\nmax_length = 6')
    with pytest.raises(InputError, match="reads 6 of the 8 words"):
        run_study(parse(short), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()
