"""What `holdfast fairness` does: tables, files, runs and models measured, options in declared types, nothing lost in silence."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from tests.oracles import tiny_language_models
from tests.unit.fairness import world
from tests.unit.study.fairness import parts
from tests.unit.study.fairness.parts import COUNTING, SPEAKING

from holdfast.cli import main
from holdfast.core.errors import DataError, InputError, StudyError
from holdfast.core.evidence import Evidence
from holdfast.data import Dataset, DataSplits, Example
from holdfast.fairness import Inference
from holdfast.fairness.groups import Calibration
from holdfast.runs import RunFolder
from holdfast.study import parse_plan, run_study
from holdfast.study.fairness import FairnessTable, MetricTable, commands, measure
from holdfast.study.fairness.measuring import options_apart
from holdfast.study.fairness.models import check_attributes
from holdfast.study.fairness.options import as_declared
from holdfast.study.fairness.tables import check_no_group, groups_of_values, predictions_of_table

QUICK: dict[str, Any] = {"replicates": 200, "permutations": 200}
TABLE = "label,guess,dialect,user,p_yes,p_no\n" + "yes,no,avel,u1,0.25,0.75\nno,no,best,u2,0.5,0.5\nyes,yes,avel,u3,1,0\n" * 9
COLUMNS = {"true": "label", "predicted": "guess"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "table.csv"
    found.write_text(TABLE)
    return found


def asked(*metrics: str | MetricTable, **changed: Any) -> FairnessTable:
    return FairnessTable(metrics=metrics or ("accuracy-parity",), **{"groups": ("dialect",), **QUICK, **changed})


class TestTables:
    def test_a_table_is_read_as_predictions_of_each_attribute(self, path: Path):
        scores = {"yes": "p_yes", "no": "p_no"}
        first, second = predictions_of_table(path, asked(groups=("dialect", "user")), **COLUMNS, unit="user", scores=scores)
        assert (first.groups.attribute, first.groups.names) == ("dialect", ("avel", "best"))
        assert second.groups.names == ("u1", "u2", "u3")
        assert first.groups.sizes.tolist() == [18, 9]
        assert first.classes == ("no", "yes")
        assert (first.units.what, first.units.count) == ("user", 3)
        np.testing.assert_array_equal(first.scores[:3], [[0.75, 0.25], [0.5, 0.5], [0, 1]])
        assert first.text == "table.csv"

    def test_labels_may_hold_a_class_that_no_row_has(self, path: Path):
        scores = {"yes": "p_yes", "no": "p_no", "maybe": "p_no"}
        (found,) = predictions_of_table(path, asked(), **COLUMNS, scores=scores)
        assert found.classes == ("maybe", "no", "yes")

    def test_of_table_measures_every_metric_of_every_attribute(self, path: Path):
        found = commands.of_table(path, asked("accuracy-parity", "demographic-parity", groups=("dialect", "user")), **COLUMNS)
        told = [(one.conditions["groups"], one.conditions["metric"]) for one in found.estimates]
        assert list(dict.fromkeys(told)) == [
            ("dialect", "accuracy-parity"), ("dialect", "demographic-parity"), ("user", "accuracy-parity"), ("user", "demographic-parity"),
        ]  # fmt: skip
        assert {one.subject for one in found.estimates} == {"table.csv"}

    def test_a_metric_that_wants_a_model_is_refused_before_the_file_is_read(self, tmp_path: Path):
        table = asked("accuracy-parity", MetricTable(name="weat", stimuli="s.json"))
        with pytest.raises(InputError, match="weat looks at vectors, and a table holds decisions only"):
            commands.of_table(tmp_path / "none.csv", table, **COLUMNS)

    def test_an_empty_unit_would_tie_strangers_together(self, path: Path):
        path.write_text(TABLE + "yes,no,avel,,0,1\n")
        with pytest.raises(DataError, match="line 29: column 'user' is empty"):
            predictions_of_table(path, asked(), **COLUMNS, unit="user")
        assert len(predictions_of_table(path, asked(), **COLUMNS)[0]) == 28, "a column that is not asked for may be"

    def test_an_empty_group_is_a_row_of_none(self, path: Path):
        path.write_text(TABLE + "yes,no,,u4,0,1\n")
        (found,) = predictions_of_table(path, asked(), **COLUMNS)
        assert found.groups.names == ("avel", "best")
        assert found.groups.members[-1].tolist() == [False, False]

    @pytest.mark.parametrize(
        ("values", "separator", "no_group", "names", "members"),
        [
            (["a", "b", ""], None, (), ("a", "b"), [[1, 0], [0, 1], [0, 0]]),
            (["a", "none", "b"], None, ("none",), ("a", "b"), [[1, 0], [0, 0], [0, 1]]),
            (["a+b", "none", "b+none"], "+", ("none",), ("a", "b"), [[1, 1], [0, 0], [0, 1]]),
            (["+a", "a+", "a+a", "+"], "+", (), ("a",), [[1], [1], [1], [0]]),
            (["a, b", "a,b"], None, (), ("a, b", "a,b"), [[1, 0], [0, 1]]),
            (["a; b", "b"], "; ", (), ("a", "b"), [[1, 1], [0, 1]]),
        ],
    )
    def test_how_groups_are_written(self, values: list, separator: str | None, no_group: tuple, names: tuple, members: list):
        found = groups_of_values(asked(separator=separator, no_group=no_group), values, "g")
        assert found.names == names
        assert found.members.astype(int).tolist() == members

    def test_a_value_that_is_called_no_group_must_stand_somewhere(self):
        check_no_group(asked(no_group=("none",)), {"g": ["a"], "h": ["none"]})
        with pytest.raises(InputError, match=r"no row of g, h has this value; did you mean 'none'\? Valid: a, none"):
            check_no_group(asked(no_group=("non",)), {"g": ["a"], "h": ["none"]})
        with pytest.raises(InputError, match="has this value; take one that does"):
            check_no_group(asked(no_group=("non",)), {"g": [str(at) for at in range(100)]})

    def test_it_may_stand_in_another_part_of_the_data(self):
        made = {part: data(part, group) for part, group in (("train", "none"), ("validation", "a"), ("test", "b"))}
        splits = DataSplits(name="small", train=made["train"], validation=made["validation"], test=made["test"])
        check_attributes(asked(groups=("g",), no_group=("none",)), splits)
        with pytest.raises(InputError, match="no group 'nun'"):
            check_attributes(asked(groups=("g",), no_group=("nun",)), splits)


def data(part: str, group: str) -> Dataset:
    return Dataset.from_examples([Example(tokens=("go",), label="go", groups={"g": group})], name="small", split=part)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every type."""

    whole: int = 0
    number: float = 0.0
    truth: bool = False
    text: str = ""
    maybe: str | None = None
    path: Path | None = None
    texts: Sequence[str] = ()
    paths: tuple[Path, ...] = ()
    either: float | Literal["equal", "half"] = 0.0
    choice: Literal["a", "b"] = "a"
    object_or_path: Inference | str | Path | None = None
    table: dict[str, int] | None = None


class TestOptions:
    @pytest.mark.parametrize(
        ("key", "given", "made"),
        [
            ("whole", 3, 3),
            ("number", 3, 3),
            ("number", 0.5, 0.5),
            ("truth", True, True),
            ("text", "x", "x"),
            ("maybe", "x", "x"),
            ("path", "a/b.csv", Path("a/b.csv")),
            ("texts", ["x", "y"], ("x", "y")),
            ("texts", "x", ("x",)),
            ("paths", ["x", "y"], (Path("x"), Path("y"))),
            ("paths", "x", (Path("x"),)),
            ("either", 0.5, 0.5),
            ("either", "half", "half"),
            ("either", "hlf", "hlf"),  # the metric itself names the nearest
            ("choice", "c", "c"),
            ("object_or_path", "x", Path("x")),
            ("table", {"x": 1}, {"x": 1}),
        ],
    )
    def test_a_value_comes_in_its_declared_type(self, key: str, given: Any, made: Any):
        found = as_declared("mine", Options, key, given)
        assert found == made
        assert type(found) is type(made)

    @pytest.mark.parametrize(
        ("key", "given", "cure"),
        [
            ("whole", 0.5, "'whole' is 0.5; give a whole number"),
            ("whole", True, "'whole' is True; give a whole number"),
            ("whole", "3", "'whole' is '3'; give a whole number"),
            ("number", "big", "'number' is 'big'; give a number"),
            ("number", [1.0], r"'number' is \[1.0\]; give a number"),
            ("truth", "yes", "'truth' is 'yes'; give true or false"),
            ("truth", 1, "'truth' is 1; give true or false"),
            ("text", 3, "'text' is 3; give a text"),
            ("maybe", 3, "'maybe' is 3; give a text"),
            ("path", 3, "'path' is 3; give a path"),
            ("texts", 3, r"'texts' is 3; give a list such as \[a text\]"),
            ("texts", ["x", 3], r"'texts' is \['x', 3\]; give a list such as \[a text\]"),
            ("paths", [3], r"'paths' is \[3\]; give a list such as \[a path\]"),
            ("either", True, "'either' is True; give a number or 'equal' or 'half'"),
            ("choice", 3, "'choice' is 3; give 'a' or 'b'"),
            ("object_or_path", 3, "'object_or_path' is 3; give a text or a path"),
            ("table", "x", "'table' is 'x'; give what the metric asks for"),
        ],
    )
    def test_a_value_of_another_type_is_refused(self, key: str, given: Any, cure: str):
        with pytest.raises(InputError, match=f"^mine: the option {cure}$"):
            as_declared("mine", Options, key, given)

    def test_what_is_no_metric_is_refused(self):
        for name in ("os:getcwd", "fractions:Fraction", "holdfast.fairness:Inference"):
            with pytest.raises(InputError, match=f"{name} is no metric of fairness: name a dataclass with"):
                MetricTable(name=name).made()

    def test_one_test_may_stand_for_a_list_of_one(self, tmp_path: Path):
        table = commands.asked(FairnessTable(), ["weat"], [f"weat.stimuli={world.stimuli(tmp_path / 's.json')}", "weat.tests=flowers"])
        assert table.tables[0].made().tests == ("flowers",)


class TestWhatStandsTwice:
    TWICE = asked(MetricTable(name="calibration", bins=2), MetricTable(name="calibration", bins=3), "accuracy-parity", groups=())

    def test_the_same_metric_with_the_same_options_is_refused(self):
        for table in (asked("weat", "weat"), asked(MetricTable(name="calibration", bins=2), MetricTable(name="calibration", bins=2))):
            with pytest.raises(InputError, match="stands twice with the same options; name it once, or give it others"):
                table.check_writing()

    @pytest.mark.parametrize(
        ("changed", "cure"),
        [
            ({"groups": ("a", "a")}, "'a' stands twice"),
            ({"separator": ""}, "separator is empty"),
            ({"margin": float("inf")}, "margin inf is not above 0 and finite"),
        ],
    )
    def test_what_means_nothing_is_refused(self, changed: dict, cure: str):
        with pytest.raises(InputError, match=cure):
            asked(**changed).check_writing()
        with pytest.raises(StudyError, match=f"fairness: .*{cure}"):
            asked(**changed).check("fairness")

    def test_a_study_says_so_before_it_trains(self):
        text = STUDY.replace("[[run]]", '[fairness]\ngroups = ["dialect", "dialect"]\n[[run]]')
        with pytest.raises(StudyError, match=r"study\.toml: \[fairness\]: groups: 'dialect' stands twice"):
            parse_plan(text, origin="study.toml", folder=Path())

    def test_with_other_options_the_variant_tells_the_numbers_apart(self, path: Path):
        table = self.TWICE.model_copy(update={"groups": ("dialect",)})
        (given,) = predictions_of_table(path, table, **COLUMNS, scores={"yes": "p_yes", "no": "p_no"})
        found = measure(table, _Decided(given), subject="r", command="holdfast fairness r")
        variants = {str(one.conditions.get("variant")) for one in found.evidence.estimates if one.conditions["metric"] == "calibration"}
        assert {text.rpartition("; ")[2] for text in variants} == {"bins = 2", "bins = 3"}
        alone = [Calibration(bins=bins).measure(given, subject="r", inference=table.inference) for bins in (2, 3)]
        both = [one for one in found.evidence.estimates if one.conditions["metric"] == "calibration"]
        assert [one.value for one in both] == [one.value for part in alone for one in part.estimates], "nothing is overwritten"
        assert all("bins" not in str(one.conditions.get("variant")) for one in found.evidence.estimates[len(both) :])
        command = found.told["commands"]["calibration"]
        assert command.split(" && ")[0].endswith(
            "--metric calibration --group dialect --set calibration.bins=2 --replicates 200 --permutations 200"
        )
        assert command.count("calibration.bins=") == 2

    @pytest.mark.parametrize(
        ("tables", "told"),
        [
            ([{"name": "weat", "stimuli": "a/x.json"}, {"name": "rnd", "stimuli": "a/x.json"}], ["", ""]),
            ([{"name": "weat", "stimuli": "a/x.json"}, {"name": "weat", "stimuli": "b/y.json"}], ["stimuli = x.json", "stimuli = y.json"]),
            (
                [{"name": "weat", "stimuli": "a/x.json"}, {"name": "weat", "stimuli": "b/x.json"}],
                ["stimuli = a/x.json", "stimuli = b/x.json"],
            ),
            ([{"name": "calibration"}, {"name": "calibration", "bins": 3}], ["usual options", "bins = 3"]),
            ([{"name": "weat", "vectors": "v.txt", "a": 1}, {"name": "weat", "a": 1}], ["a = 1, vectors = v.txt", "a = 1"]),
        ],
    )
    def test_how_options_are_told(self, tables: list[dict], told: list[str]):
        assert options_apart([(MetricTable(**one), one["name"]) for one in tables]) == told


class _Decided:
    """A run whose predictions are known."""

    def __new__(cls, given: Any) -> Any:
        from holdfast.study.fairness import Measured

        made = object.__new__(Measured)
        made.predictions = lambda table, attribute: given
        return made


STUDY = """
title = "Twice"
[data]
source = "assistant:train=200,validation=40,test=60,users=20"
[task]
unseen_labels = "count as wrong"
[model]
name = "bag"
embedding = 6
hidden = 5
[training]
epochs = 1
batch_size = 30
seed = 1
[[run]]
name = "plain"
mechanism = "none"
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    run_study(parse_plan(STUDY, origin="study.toml", folder=Path()), out, text=STUDY)
    return out / "runs" / "plain"


def evidence_of(run: Path) -> Evidence:
    return RunFolder(run).read().evidence


class TestRuns:
    def test_what_leaves_the_record_is_told(self, trained: Path, capsys: pytest.CaptureFixture[str]):
        assert main(["fairness", str(trained), "--metric", COUNTING]) == 0
        assert "left the record" not in capsys.readouterr().err, "nothing was there before"
        assert main(["fairness", str(trained), "--metric", COUNTING]) == 0
        assert "left the record" not in capsys.readouterr().err, "the same is measured again"
        parts.CALLS.clear()
        assert main(["fairness", str(trained), "--metric", COUNTING, "--group", "dialect", "--json"]) == 0
        printed = capsys.readouterr()
        assert "warning: counting: 1 earlier figures by device left the record; they came of: holdfast fairness" in printed.err
        assert len(json.loads(printed.out)["evidence"]["estimates"]) == 1
        assert [one.conditions["groups"] for one in evidence_of(trained).estimates if one.conditions.get("metric") == "counting"] == [
            "dialect"
        ]

    def test_other_options_are_told_too(self, trained: Path, capsys: pytest.CaptureFixture[str]):
        for bins in (3, 5):
            assert (
                main(["fairness", str(trained), "--metric", "calibration", "--group", "dialect", "--set", f"calibration.bins={bins}"]) == 0
            )
        printed = capsys.readouterr().err
        assert printed.count("left the record") == 1
        assert "calibration: the earlier figures, of other options, left the record; they came of: " in printed
        assert "--set calibration.bins=3" in printed

    def test_the_command_of_a_metric_gives_it_again(self, trained: Path, capsys: pytest.CaptureFixture[str]):
        words = [
            "--metric",
            "accuracy-parity",
            "--group",
            "dialect",
            "--margin",
            "0.1",
            "--level",
            "0.9",
            "--replicates",
            "150",
            "--seed",
            "3",
        ]
        assert main(["fairness", str(trained), *words, "--no-group", "brin", "--json"]) == 0
        first = json.loads(capsys.readouterr().out)
        command = RunFolder(trained).read().settings["fairness"]["commands"]["accuracy-parity"]
        assert main([*command.split()[1:], "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == first

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (["--no-group", "avl"], "no group 'avl': no row of device, dialect has this value; did you mean 'avel'?"),
            (["--separator", ""], "separator is empty"),
            (["--group", "dialect", "--group", "dialect"], "'dialect' stands twice"),
            (["--metric", "crows-pairs-causal"], "data is missing"),
            (["--metric", "weat", "--set", "weat.stimuli=none.json"], "none.json: no such file"),
            (["--metric", "hatexplain-bias"], "none of hatespeech, offensive is among the classes"),
            (["--data", "csv:none"], "no such file"),
            (["--margin", "inf"], "margin inf is not above 0 and finite"),
        ],
    )
    def test_what_is_wrong_is_named(self, trained: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str):
        before = evidence_of(trained)
        assert main(["fairness", str(trained), *words]) == 2
        assert complaint in capsys.readouterr().err
        assert evidence_of(trained) == before

    def test_a_run_without_sentence_labels_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        text = STUDY.replace('unseen_labels = "count as wrong"', 'name = "tagging"').replace('"bag"', '"bilstm"')
        run_study(parse_plan(text, origin="study.toml", folder=Path()), tmp_path, text=text)
        assert main(["fairness", str(tmp_path / "runs" / "plain")]) == 2
        assert "the task 'tagging' labels no sentences, so no decisions can be compared" in capsys.readouterr().err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny masked model of `transformers`."""
    return tiny_language_models.saved(tmp_path_factory.mktemp("bert"), "bert")


class TestModels:
    @pytest.fixture
    def words(self, tmp_path: Path) -> list[str]:
        return ["--metric", "crows-pairs-aul", "--set", f"crows-pairs-aul.data={world.crows(tmp_path / 'c.csv')}"]

    def test_a_model_is_measured_and_kept_as_a_run(self, folder: Path, tmp_path: Path, words: list[str], capsys):
        assert main(["fairness", str(folder), *words, "--out", str(tmp_path / "kept")]) == 0
        assert "draw the page: holdfast report" in capsys.readouterr().out
        record = RunFolder(tmp_path / "kept").read()
        assert record.name == folder.name
        assert {one.subject for one in record.evidence.estimates} == {folder.name}
        assert record.settings["fairness"]["cards"].keys() == {"crows-pairs-aul"}
        assert main(["fairness", str(folder), *words, "--out", str(tmp_path / "kept")]) == 2
        assert "already holds a run or is a file" in capsys.readouterr().err
        assert main(["report", str(tmp_path / "kept"), "--out", str(tmp_path / "page.html")]) == 0
        assert "crows-pairs-aul" in (tmp_path / "page.html").read_text()

    def test_a_folder_has_a_name_from_inside_too(self, folder: Path, words: list[str], monkeypatch, capsys):
        monkeypatch.chdir(folder)
        assert main(["fairness", ".", *words, "--json"]) == 0
        assert {one["subject"] for one in json.loads(capsys.readouterr().out)["evidence"]["estimates"]} == {folder.name}

    @pytest.mark.parametrize(
        ("more", "complaint"),
        [
            (["--group", "x"], "--group is for runs, whose data are labelled"),
            (["--data", "x"], "--data is for runs"),
            (["--positive", "x"], "--positive is for runs"),
            (["--no-group", "x"], "--no-group is for runs"),
            (["--metric", "accuracy-parity"], "accuracy-parity looks at decisions, and"),
            (["--metric", "crows-pairs-causal"], "crows-pairs-causal: data is missing"),
            (["--metric", SPEAKING], "speaking needs a causal language model, and"),
        ],
    )
    def test_what_a_model_cannot_be_asked(self, folder: Path, words: list[str], more: list[str], complaint: str, capsys):
        assert main(["fairness", str(folder), *words, *more]) == 2
        assert complaint in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["no-such-run", "/no/such/folder"])
    def test_what_is_neither_a_run_nor_a_model(self, name: str, capsys):
        assert main(["fairness", name]) == 2
        printed = capsys.readouterr().err
        assert f"{name} is no run, neither a folder with a record nor an id in the folder runs" in printed
        assert f"write hub:{name}" in printed

    @pytest.mark.parametrize(
        ("spoil", "complaint"),
        [
            (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors"),
            (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "holds its weights as a pickle"),
            (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 9), "cannot be read as AutoModelForMaskedLM"),
            (lambda folder: (folder / "config.json").unlink(), "cannot be read as a language model"),
            (lambda folder: (folder / "config.json").write_text("{"), "cannot be read as a language model"),
        ],
        ids=["no weights", "a pickle", "damaged weights", "no configuration", "damaged configuration"],
    )
    def test_a_spoilt_folder_is_refused(self, folder: Path, tmp_path: Path, words: list[str], spoil, complaint: str, capsys):
        other = tmp_path / "spoilt"
        other.mkdir()
        for file in folder.iterdir():
            (other / file.name).write_bytes(file.read_bytes())
        spoil(other)
        assert main(["fairness", str(other), *words]) == 2
        printed = capsys.readouterr().err
        assert complaint in printed
        assert "a fault of holdfast" not in printed


class TestFiles:
    def test_of_vectors_reads_no_more_than_it_needs(self, tmp_path: Path):
        files = world.vectors_file(tmp_path / "v.txt"), world.stimuli(tmp_path / "s.json")
        found = commands.of_vectors(*files, tests=["flowers"], metric="weat", inference=Inference(**QUICK))
        assert [one.subject for one in found.estimates] == ["v.txt"]
        both = commands.of_vectors(*files, tests=None, metric="rnd", inference=Inference(**QUICK))
        assert {one.conditions["of"] for one in both.estimates} == {"flowers", "reversed"}

    def test_of_bbq_counts_no_file_twice(self, tmp_path: Path):
        path = world.questions(tmp_path / "q.jsonl", answers=("the old man", "unknown"))
        assert commands.of_bbq([path], inference=Inference(**QUICK)).estimates
        with pytest.raises(InputError, match="stands twice"):
            commands.of_bbq([path, path], inference=Inference(**QUICK))

    def test_cards_tell_what_a_metric_looks_at(self):
        assert {one["needs"] for one in commands.cards()} == {
            "predictions", "vectors", "encoder", "masked model", "causal model", "masked or causal model", "generator",
        }  # fmt: skip
        (one,) = commands.cards(COUNTING)
        assert one["name"] == "counting"


def test_numbers_of_another_metric_stay(trained: Path):
    """A metric that was not asked for keeps its figures."""
    record = RunFolder(trained).read()
    before = [one for one in record.evidence.estimates if one.conditions.get("metric") != "counting"]
    table = asked(COUNTING)
    found = measure(table, _Decided(world.predictions(60)), subject="plain")
    after = found.into(replace(record)).evidence.estimates
    assert [one for one in after if one.conditions.get("metric") != "counting"] == before


class Named(parts.Counting):
    """With a group of its own name."""

    card: ClassVar = parts.card("named")


def test_groups_and_options_of_a_command_are_quoted():
    from holdfast.study.fairness.measuring import _command

    table = asked(groups=("native language",), positive=("very good",))
    told = _command("holdfast fairness r", MetricTable(name="mine", data="a b.csv", flag=True), table, Named())
    assert "--group 'native language' --positive 'very good'" in told
    assert "--set 'mine.data=a b.csv' --set mine.flag=true" in told
