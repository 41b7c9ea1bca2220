"""The study file: what it takes, and the error for everything else."""

from pathlib import Path

import pytest

from holdfast.core.errors import InputError, StudyError
from holdfast.privacy import AdaptiveClipping, AutomaticClipping
from holdfast.study import parse_plan, phases, read_plan
from holdfast.study.steps import make_mechanism

GOOD = """
title = "Two ways"
[data]
source = "assistant:train=200,validation=50,test=60,users=20"
[model]
hidden = 4
[training]
epochs = 1
batch_size = 20
seed = 1
learning_rate = 0.01
[[run]]
name = "plain"
mechanism = "none"
[[run]]
name = "private"
mechanism = "dp-sgd"
epsilon = 8.0
delta = 1e-5
clip_norm = 1.0
batch_size = 40
model = { dropout = 0.0 }
"""


def parse(text: str):
    return parse_plan(text, origin="study.toml", folder=Path("/there"))


def test_a_run_overrides_training_and_model():
    plan = parse(GOOD)
    plain, private = plan.run
    assert (plan.setting(plain, "batch_size"), plan.setting(private, "batch_size")) == (20, 40)
    assert (plan.model_settings(plain).hidden, plan.model_settings(private).dropout) == (4, 0.0)
    assert plan.training_settings(private).learning_rate == 0.01
    assert list(phases(plan)) == ["data", "train plain", "measure plain", "train private", "measure private", "report"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("snips:data", "snips:/there/data"),
        ("jsonl:/abs/x.jsonl", "jsonl:/abs/x.jsonl"),
        ("hub:owner/name", "hub:owner/name"),
        ("assistant", "assistant"),
    ],
)
def test_paths_start_at_the_study_file(source, expected):
    plan = parse(GOOD.replace("assistant:train=200,validation=50,test=60,users=20", source))
    assert plan.data.source == expected
    with_vectors = parse(GOOD.replace("hidden = 4", 'vectors = "glove.txt"'))
    assert with_vectors.model.options["vectors"] == "/there/glove.txt"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title =", "titel =", "unknown key 'titel'; did you mean 'title'"),
        ("epochs = 1", "epoch = 1", r"unknown key 'training.epoch'; did you mean 'epochs'"),
        ("epsilon = 8.0", "epsilom = 8.0", r"unknown key 'run.2.epsilom'; did you mean 'epsilon'"),
        ("hidden = 4", "hiden = 4", "unknown option 'hiden'; did you mean 'hidden'"),
        ("model = { dropout = 0.0 }", "model = { drop = 0.0 }", "did you mean 'dropout'"),
        ("[model]", "seeds = 3\n[model]", r"\[data\]: unknown key 'seeds'; did you mean 'seed'"),
        ("[model]", "[task]\nslot_wait = 3\n[model]", r"\[task\]: unknown key 'slot_wait'; did you mean 'slot_weight'"),
        ("[model]", '[task]\nname = "intent-slots"\n[model]', "did you mean 'intent-slot'"),
        ("[model]", '[audit]\nattacks = ["loss"]\n[model]', "loss-threshold"),
        ("clip_norm = 1.0", "", "run 'private': clipping 'flat' needs clip_norm; there is no default"),
        ("clip_norm = 1.0", 'clip_norm = 1.0\nclipping = "adaptiv"', "did you mean 'adaptive'"),
        ("clip_norm = 1.0", 'clip_norm = 1.0\nclipping = "automatic"', "clip_norm is 1.0, which clipping 'automatic' has no use for"),
        ("clip_norm = 1.0", "clip_norm = 1.0\ngamma = 0.1", "gamma is 0.1, which clipping 'flat' has no use for.*'automatic'"),
        ("clip_norm = 1.0", 'clip_norm = 1.0\nclipping = "adaptive"\nquantile = 2.0', "run 'private': quantile is 2.0"),
        ("clip_norm = 1.0", "clip_norm = 1.0\ncliping = 3", r"unknown key 'run.2.cliping'; did you mean 'clipping'"),
        ('mechanism = "dp-sgd"', 'mechanism = "edp-sgd"\nmicro_batch_size = 4\nclipping = "flat"', "'edp-sgd' has no clipping"),
        ("delta = 1e-5", "", "'dp-sgd' needs delta"),
        ("epsilon = 8.0", "", "needs either epsilon or noise_multiplier"),
        ("epsilon = 8.0", "epsilon = 8.0\nnoise_multiplier = 1.0", "not both"),
        ("epsilon = 8.0", "epsilon = 8.0\nmicro_batch_size = 4", "'dp-sgd' has no micro_batch_size"),
        ('mechanism = "none"', 'mechanism = "none"\nepsilon = 1.0', "'none' has no epsilon"),
        ('mechanism = "none"', 'mechanism = "nothing"', "'nothing'"),
        ('name = "private"', 'name = "plain"', "plain stands twice"),
        ('name = "private"', 'name = "../up"', "string should match pattern"),
        ("epochs = 1", "", "run 'plain' has no epochs"),
        ("learning_rate = 0.01", "learning_rate = -1.0", "learning_rate is -1.0"),
        ("seed = 1", 'seed = "x"', "training.seed"),
        ("title = ", "title ", "not valid TOML"),
        ('source = "assistant:train=200,validation=50,test=60,users=20"', "", "the key 'data.source' is missing"),
    ],
)
def test_mistakes_are_named_with_the_nearest_valid_word(old, new, message):
    assert old in GOOD
    with pytest.raises(InputError, match=message):
        parse(GOOD.replace(old, new, 1))


def test_a_run_chooses_how_gradients_are_clipped():
    plan = parse(GOOD.replace("clip_norm = 1.0", 'clipping = "automatic"\ngamma = 0.1'))
    assert make_mechanism(plan, plan.run[1], range(200)).clipper == AutomaticClipping(gamma=0.1)
    options = 'clipping = "adaptive"\nclip_norm = 2.0\nquantile = 0.3\nclip_learning_rate = 0.1\ncount_noise = 9.0'
    plan = parse(GOOD.replace("clip_norm = 1.0", options))
    expected = AdaptiveClipping(clip_norm=2.0, quantile=0.3, learning_rate=0.1, count_noise=9.0)
    assert make_mechanism(plan, plan.run[1], range(200)).clipper == expected


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"none.toml: the study file cannot be read"):
        read_plan(tmp_path / "none.toml")


def test_studies_of_the_repository_are_valid():
    root = Path(__file__).resolve().parents[3]
    ordinary = [path for path in (root / "examples").glob("*.toml") if not path.name.startswith("federated-")]
    found = [*ordinary, root / "src/holdfast/study/demo.toml"]
    assert len(found) >= 2
    for path in found:
        names = [run.name for run in read_plan(path).run]
        assert len(names) == len(set(names))
