"""The file of a federated study: every key, what a run overrides, and what is refused in words."""

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.core.errors import HoldfastError, InputError, StudyError
from holdfast.federated import LocalSolver
from holdfast.study.federation import FederatedPlan, federated_phases, parse_federated_plan, read_federated_plan
from holdfast.study.federation.plan import FederationTable, part_of

HERE = Path("folder")


def parse(text: str, folder: Path = HERE) -> FederatedPlan:
    return parse_federated_plan(text, origin="study.toml", folder=folder)


EVERY_KEY = {
    "clients": ('{ scheme = "iid", clients = 5 }', {"scheme": "iid", "clients": 5}),
    "holdout": ("0.2", 0.2),
    "algorithm": ('"fedadam"', "fedadam"),
    "local": ("{ learning_rate = 0.1 }", {"learning_rate": 0.1}),
    "server": ("{ learning_rate = 0.3 }", {"learning_rate": 0.3}),
    "select": ('{ name = "activity", tau = 0.5 }', {"name": "activity", "tau": 0.5}),
    "weighting": ('"uniform"', "uniform"),
    "cohort": ("3", 3),
    "rounds": ("9", 9),
    "schedule": ('{ name = "continual", periods = 2 }', {"name": "continual", "periods": 2}),
    "trainable": ('{ only = ["heads"] }', {"only": ["heads"]}),
    "lora": ("{ rank = 2, alpha = 4.0 }", {"rank": 2, "alpha": 4.0}),
    "compression": ('"8-bit"', "8-bit"),
    "error_feedback": ("true", True),
    "rule": ('{ name = "trimmed-mean", share = 0.2 }', {"name": "trimmed-mean", "share": 0.2}),
    "availability": ('{ name = "independent", least = 0.5, most = 0.9 }', {"name": "independent", "least": 0.5, "most": 0.9}),
    "stragglers": ("{ failure = 0.1 }", {"failure": 0.1}),
    "kernel": ('"closed form"', "closed form"),
    "evaluate_every": ("0", 0),
    "test_examples": ("50", 50),
    "checkpoint_every": ("2", 2),
    "seed": ("0", 0),
}
PARTNERS = {"error_feedback": ['compression = "sign"']}


def test_this_is_every_key():
    assert EVERY_KEY.keys() == FederationTable.model_fields.keys()


@pytest.mark.parametrize("key", EVERY_KEY)
def test_every_key_is_read_for_all_runs_and_overridden_by_one(key: str, study: Callable):
    written, value = EVERY_KEY[key]
    (run,) = (plan := parse(study(f"{key} = {written}", *PARTNERS.get(key, ())))).run
    assert plan.setting(run, key) == value
    other = {"seed": "3", "evaluate_every": "5", "rounds": "4"}.get(key, written)
    runs = f'[[run]]\nname = "plain"\n{key} = {other}\n[[run]]\nname = "other"'
    plan = parse(study(*PARTNERS.get(key, ()), runs=runs))
    first, second = plan.run
    read = {"seed": 3, "evaluate_every": 5, "rounds": 4}.get(key, value)
    assert plan.setting(first, key) == read
    assert plan.setting(second, key) == parse(study(*PARTNERS.get(key, ()))).setting(second, key) != read


@pytest.mark.parametrize(("key", "value"), [("error_feedback", "false"), ("evaluate_every", "0"), ("seed", "0"), ("holdout", "0.0")])
def test_a_run_overrides_by_no_and_by_zero_too(key: str, value: str, study: Callable):
    before = {"error_feedback": "true", "evaluate_every": "5", "seed": "3", "holdout": "0.3"}[key]
    plan = parse(study('compression = "sign"', f"{key} = {before}", runs=f'[[run]]\nname = "plain"\n{key} = {value}'))
    assert not plan.setting(plan.run[0], key)
    assert plan.setting(plan.run[0], key) is not None


@pytest.mark.parametrize("key", [key for key in EVERY_KEY if key not in ("kernel", "checkpoint_every")])
def test_what_decides_the_result_is_resolved(key: str, study: Callable):
    lines = [f"{key} = {EVERY_KEY[key][0]}", *PARTNERS.get(key, ())]
    plan = parse(study(*lines))
    assert plan.resolved(plan.run[0])["asked"][key] == EVERY_KEY[key][1]


@pytest.mark.parametrize("key", ["kernel", "checkpoint_every"])
def test_what_changes_speed_alone_is_not(key: str, study: Callable):
    plan, other = parse(study()), parse(study(f"{key} = {EVERY_KEY[key][0]}"))
    assert plan.resolved(plan.run[0]) == other.resolved(other.run[0])


def test_model_settings_of_a_run_stand_beside_those_of_all(study: Callable):
    runs = '[[run]]\nname = "wide"\nmodel = { hidden = 9 }\n[[run]]\nname = "other"\nmodel = { name = "bilstm", hidden = 3 }'
    plan = parse(study(runs=runs))
    assert plan.model_settings(plan.run[0]).describe()["hidden"] == 9
    assert plan.model_settings(plan.run[0]).describe()["embedding"] == 4
    assert plan.model_settings(plan.run[1]).describe()["model"] == "bilstm"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cohrt = 3", "unknown key 'federation.cohrt'; did you mean 'cohort'"),
        ("lerning_rate = 3", "unknown key 'federation.lerning_rate'"),
        ("cohort = 0", "federation.cohort: input should be greater than or equal to 1, got 0"),
        ('rounds = "many"', "federation.rounds: "),
        ("rounds = 0", "federation.rounds: "),
        ("evaluate_every = -1", "federation.evaluate_every: "),
        ("seed = -1", "federation.seed: "),
        ("test_examples = 0", "federation.test_examples: "),
        ("local = { learning_rat = 0.1 }", "run 'plain': local: unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ("local = { learning_rate = 0 }", "learning_rate is 0; give a number above 0"),
        ("local = { learning_rate = 0.1, batch_size = 0 }", "batch_size is 0"),
        ("server = { learning_rte = 1 }", "server of fedavg: unknown option 'learning_rte'; did you mean 'learning_rate'"),
        ('algorithm = "fedavgg"', "did you mean 'fedavg'"),
        ('select = "activty"', "did you mean 'activity'"),
        ('select = { name = "activity", tua = 1 }', "did you mean 'tau'"),
        ("select = { tau = 1 }", "names no part; give its name"),
        ('weighting = "exampels"', "did you mean 'examples'"),
        ('weighting = { name = "capped", cap = 0 }', "capped: cap is 0"),
        ('compression = "topk"', "did you mean 'top-k'"),
        ('compression = { name = "top-k", shre = 0.1 }', "did you mean 'share'"),
        ('rule = "medan"', "did you mean 'median'"),
    ],
)
def test_a_wrong_key_or_value_is_named_when_the_file_is_read(line: str, words: str, study: Callable):
    with pytest.raises(InputError) as met:
        parse(study(line))
    assert words in str(met.value)
    assert met.value.exit_code == 2


LATE = [
    ('schedule = { name = "continual", periodz = 3 }', "did you mean 'periods'"),
    ('schedule = { name = "contiual", periods = 3 }', "did you mean 'continual'"),
    ('schedule = { name = "continual", periods = 3, retention = "latst" }', "did you mean 'latest'"),
    ('availability = "alwys"', "did you mean 'always'"),
    ("stragglers = { failur = 0.1 }", "did you mean 'failure'"),
    ('kernel = "closed"', "kernel"),
    ("lora = { rnk = 4, alpha = 1.0 }", "did you mean 'rank'"),
    ("lora = { rank = 0, alpha = 1.0 }", "rank is 0"),
    ('trainable = "head"', "did you mean 'heads'"),
    ("trainable = { onyl = ['heads'] }", "did you mean 'only'"),
    ("holdout = 1.5", "holdout is 1.5"),
    ('clients = { scheme = "idd", clients = 5 }', "did you mean 'iid'"),
    ('clients = { scheme = "label_dirichlet", clients = 5, alpah = 1 }', "did you mean 'alpha'"),
    ("clients = { clients = 5 }", "a table with a scheme"),
    ("error_feedback = true", "compression"),
]


@pytest.mark.parametrize(("line", "words"), LATE)
def test_so_it_is_at_the_latest_before_anything_is_simulated(line: str, words: str, study: Callable, folder: Path):
    from holdfast.study.federation import run_federated

    simulated: list = []
    with pytest.raises(HoldfastError) as met:
        run_federated(parse(study(line), folder), folder / "out", on_progress=simulated.append)
    assert words in str(met.value)
    assert met.value.exit_code == 2
    assert not (folder / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "study.toml: not valid TOML"),
        ('title = "x"', "the key 'data' is missing"),
        ('titel = "x"', "unknown key 'titel'; did you mean 'title'"),
    ],
)
def test_a_file_that_is_no_study_is_refused(text: str, words: str):
    with pytest.raises(StudyError, match=r"study\.toml: ") as met:
        parse(text)
    assert words in str(met.value)


def test_missing_and_repeated_things_are_named(study: Callable):
    with pytest.raises(StudyError, match="one stands twice"):
        parse(study(runs='[[run]]\nname = "one"\n[[run]]\nname = "one"'))
    with pytest.raises(StudyError, match="run 'plain' has no cohort; give it in"):
        parse(study().replace("cohort = 4\n", ""))
    with pytest.raises(StudyError, match="run 'plain' has no local"):
        parse(study().replace("local = { learning_rate = 0.5, batch_size = 4 }\n", ""))
    with pytest.raises(StudyError, match="run 'plain' has no rounds"):
        parse(study().replace("rounds = 3\n", ""))
    with pytest.raises(StudyError, match=r"run\.1\.cohrt.*did you mean 'cohort'"):
        parse(study(runs='[[run]]\nname = "one"\ncohrt = 3'))
    with pytest.raises(StudyError, match=r"run\.1\.name"):
        parse(study(runs='[[run]]\nname = "a/b"'))
    with pytest.raises(StudyError, match="'run' is missing"):
        parse(study().replace('[[run]]\nname = "plain"', ""))


def test_a_clock_needs_no_rounds_and_a_static_schedule_may_hold_them(study: Callable):
    plain = study().replace("rounds = 3\n", "")
    continual = plain.replace("cohort", 'schedule = { name = "continual", periods = 4, rounds_per_period = 5 }\ncohort')
    plan = parse(continual)
    assert plan.rounds_of(plan.run[0]) == 20
    static = parse(plain.replace("cohort", 'schedule = { name = "static", rounds = 8 }\ncohort'))
    assert static.rounds_of(static.run[0]) == 8


@pytest.mark.parametrize(
    ("schedule", "rounds"),
    [
        ('"static"', 3),
        ('{ name = "static", rounds = 5 }', 5),
        ('{ name = "continual", periods = 4 }', 4),
        ('{ name = "continual", periods = 4, rounds_per_period = 3 }', 12),
        ('{ name = "continual", periods = 3, rounds_per_period = [1, 2, 5] }', 8),
    ],
)
def test_rounds_are_counted(schedule: str, rounds: int, study: Callable):
    plan = parse(study(f"schedule = {schedule}"))
    assert plan.rounds_of(plan.run[0]) == rounds
    assert federated_phases(plan) == {"data": 1, "federate plain": rounds + 1, "measure plain": 5, "report": 2}


def test_the_algorithm_is_made_of_its_parts(study: Callable):
    plan = parse(study('algorithm = "fedadam"', "server = { learning_rate = 0.3 }"))
    found = plan.algorithm_of(plan.run[0])
    assert found.name == "fedadam"
    assert found.local == LocalSolver(learning_rate=0.5, batch_size=4)
    assert found.describe()["server"]["learning_rate"] == 0.3
    plain = parse(study())
    assert plain.algorithm_of(plain.run[0]).name == "fedavg"


def test_paths_start_in_the_folder_of_the_file(study: Callable, tmp_path: Path):
    path = tmp_path / "study.toml"
    path.write_text(study('clients = { file = "parts/iid.bin" }', runs='[[run]]\nname = "one"\nclients = { file = "own.bin" }'))
    plan = read_federated_plan(path)
    assert plan.data.source == f"jsonl:{tmp_path / 'utterances.jsonl'}"
    assert plan.federation.clients == {"file": str(tmp_path / "parts/iid.bin")}
    assert plan.run[0].clients == {"file": str(tmp_path / "own.bin")}
    with pytest.raises(StudyError, match="cannot be read"):
        read_federated_plan(tmp_path / "absent.toml")


def test_a_part_is_a_name_or_a_table():
    assert part_of(None, "uniform") == ("uniform", {})
    assert part_of("top-k", "uniform") == ("top-k", {})
    given = {"name": "activity", "tau": 0.5}
    assert part_of(given, "uniform") == ("activity", {"tau": 0.5})
    assert given == {"name": "activity", "tau": 0.5}
    with pytest.raises(StudyError, match=r"such as \{ name = 'uniform' \}"):
        part_of({"name": 3}, "uniform")


def test_options_of_data_and_task_are_checked(study: Callable):
    with pytest.raises(StudyError, match=r"\[data\]: unknown key 'sed'; did you mean 'seed'"):
        parse(study().replace("[model]", "sed = 3\n[model]"))
    with pytest.raises(StudyError, match=r"\[task\]: unknown key"):
        parse(study().replace("[model]", '[task]\nname = "classification"\nunseen = 3\n[model]'))
    with pytest.raises(InputError, match="hiden"):
        parse(study().replace("hidden = 5", "hiden = 5"))
