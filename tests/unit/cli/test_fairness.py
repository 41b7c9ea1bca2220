"""`holdfast fairness` in all its forms, end to end: known answers by --json, tables for people, and whatever can be wrong with a file."""

import gzip
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.unit.fairness import world

from holdfast.cli import main
from holdfast.cli.terminal import groups
from holdfast.core.evidence import Estimate, Evidence, Interval

HEAD = "label,guess,dialect,user,p_yes,p_no\n"
DRAW = random.Random(1)
ROWS = "".join(
    f"{DRAW.choice(['yes', 'no'])},{DRAW.choice(['yes', 'no'])},{DRAW.choice(['avel', 'best'])},u{at % 9},{0.3 + at % 5 / 10:.1f},"
    f"{0.7 - at % 5 / 10:.1f}\n"
    for at in range(60)
)
COLUMNS = ("--true", "label", "--predicted", "guess", "--group", "dialect")
SCORES = ("--score", "yes=p_yes", "--score", "no=p_no")
QUICK = ("--replicates", "200", "--permutations", "200")


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must succeed, and gives what it prints."""

    def run(*words: object) -> str:
        code = main(["fairness", *map(str, words)])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return run


@pytest.fixture
def found(told: Callable[..., str]) -> Callable[..., Evidence]:
    """The same as evidence, by --json."""
    return lambda *words: Evidence.from_json(json.loads(told(*words, "--json"))["evidence"])


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused as something given wrong, and gives the complaint."""

    def run(*words: object) -> str:
        assert main(["fairness", *map(str, words)]) == 2
        printed = capsys.readouterr()
        assert not printed.out
        assert "Traceback" not in printed.err
        assert "a fault of holdfast" not in printed.err
        return printed.err

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(HEAD + ROWS)
    return path


def values(evidence: Evidence, name: str, key: str) -> dict[object, float | None]:
    """By a condition, the values of all figures of a name."""
    return {one.conditions.get(key): one.value for one in evidence.estimates if one.name == name}


class TestKnownAnswers:
    """Published figures through the command line."""

    pytestmark = pytest.mark.shared

    @pytest.fixture
    def answers(self, shared_data: Path) -> Path:
        return shared_data.parent / "known_answers"

    def test_weat_of_word2vec_to_four_digits_with_exact_p(self, answers: Path, found):
        folder = answers / "weat_word2vec"
        evidence = found("weat", "--vectors", folder / "word2vec_subset.txt", "--stimuli", folder / "weat_stimuli.json", *QUICK)
        sizes = values(evidence, "weat_effect_size", "of")
        for test, size in {"WEAT1": 1.5393, "WEAT2": 1.6279, "WEAT6": 1.8899, "WEAT7": 0.9664, "WEAT8": 1.2439}.items():
            assert sizes[test] == pytest.approx(size, abs=5e-5)
        p_values = {one.conditions["of"]: one.conditions.get("p_value") for one in evidence.estimates}
        assert p_values["WEAT6"] == pytest.approx(1 / 12870)
        assert p_values["WEAT7"] == pytest.approx(0.02269, abs=5e-6)
        assert p_values["WEAT8"] == pytest.approx(0.00404, abs=5e-6)
        assert [sizes[f"WEAT{at}"] for at in (3, 4, 5)] == [None] * 3
        assert "axe (Weapons)" in " ".join(evidence.notes)
        for at in (3, 4, 5, 9, 10):
            assert any(note.startswith(f"WEAT{at}: ") and "missing" in note for note in evidence.notes)

    def test_weat_of_glove_is_that_of_table_1(self, answers: Path, found):
        folder = answers / "weat_glove840b"
        stimuli = folder / "items.csv"
        evidence = found("weat", "--vectors", folder / "glove840b_item_vectors.txt.gz", "--stimuli", stimuli, *QUICK)
        known = {one["test"]: one["d_doc"] for one in json.loads((folder / "known_answers.json").read_text())}
        sizes = values(evidence, "weat_effect_size", "of")
        assert len(known) == 10
        assert sizes == pytest.approx(known, abs=5e-6)

    def test_stereoset_of_gpt2_to_six_digits(self, answers: Path, found):
        folder = answers / "stereoset_gpt2"
        files = ("--predictions", folder / "predictions_gpt2.json.gz", "--gold", folder / "race_gold.json.gz")
        evidence = found("stereoset", *files, *QUICK)
        for name, published in (("stereoset_lms", 89.756707), ("stereoset_ss", 60.350001), ("stereoset_icat", 71.177067)):
            assert values(evidence, name, "category")["race"] == pytest.approx(published, abs=5e-7)

    def test_bbq_of_unifiedqa_is_figure_3(self, answers: Path, found):
        folder = answers / "bbq_unifiedqa"
        evidence = found("bbq", "--predictions", folder / "preds_Age.jsonl", "--predictions", folder / "preds_Religion.jsonl", *QUICK)
        published = {
            ("bbq_s_amb", "Age"): (48.9, 29.8), ("bbq_s_amb", "Religion"): (24.5, 14.3),
            ("bbq_s_dis", "Age"): (3.3, 1.2), ("bbq_s_dis", "Religion"): (3.5, 0.2),
        }  # fmt: skip
        for (name, category), figures in published.items():
            for wording, figure in zip(("arc", "race"), figures, strict=True):
                told_of = {"category": category, "variant": f"published answers, {wording}"}
                assert round(100 * evidence.estimate(name, conditions=told_of).value, 1) == figure


class TestFiles:
    """Files scored without a model."""

    def test_weat_for_people(self, tmp_path: Path, told):
        files = ("--vectors", world.vectors_file(tmp_path / "v.txt"), "--stimuli", world.stimuli(tmp_path / "s.json"))
        printed = told("weat", *files, *QUICK).splitlines()
        assert printed[0].split() == ["metric", "figure", "value", "p"]
        assert printed[1].startswith("weat    weat effect size (flowers) (joint, ddof=1)   1.363 [")
        assert printed[2].startswith("weat    weat effect size (reversed) (joint, ddof=1)  -1.363 [")
        assert printed[-1].startswith("note: ")
        one = told("weat", *files, *QUICK, "--test", "flowers", "--margin", "0.2").splitlines()
        assert one[0].split() == ["metric", "figure", "value", "p", "verdict"]
        assert "reversed" not in "".join(one)
        assert told("weat", *files, *QUICK, "--metric", "rnd").splitlines()[1].startswith("rnd")

    def test_stereoset_of_small_files(self, tmp_path: Path, found):
        ids = [f"i{at}" for at in range(9)]
        labels = ("stereotype", "anti-stereotype", "unrelated")
        items = [
            {
                "context": "the man was BLANK", "target": "man", "bias_type": "race", "id": f"c{at}",
                "sentences": [{"id": ids[3 * at + k], "sentence": f"it {k}", "gold_label": label} for k, label in enumerate(labels)],
            }
            for at in range(3)
        ]  # fmt: skip
        gold, predictions = tmp_path / "gold.json", tmp_path / "predictions.json"
        gold.write_text(json.dumps({"version": "1", "data": {"intrasentence": items, "intersentence": []}}))
        scores = [2, 1, 0, 1, 2, 0, 2, 1, 0]
        predictions.write_text(json.dumps({"intrasentence": [{"id": i, "score": s} for i, s in zip(ids, scores, strict=True)]}))
        evidence = found("stereoset", "--predictions", predictions, "--gold", gold, *QUICK)
        assert values(evidence, "stereoset_ss", "category")["race"] == pytest.approx(100 * 2 / 3)
        assert values(evidence, "stereoset_lms", "category")["race"] == 100
        assert {one.subject for one in evidence.estimates} == {"predictions.json"}

    def test_bbq_of_small_files(self, tmp_path: Path, found, refused):
        path = world.questions(tmp_path / "q.jsonl", answers=("the old man", "the young woman", "unknown", "the old man"), templates=4)
        evidence = found("bbq", "--predictions", path, *QUICK)
        assert values(evidence, "bbq_unparsed", "category") == {"all": 0.0, "Age": 0.0}
        assert "stands twice, and its answers would count twice" in refused("bbq", "--predictions", path, "--predictions", path)

    def test_a_table_of_predictions(self, table: Path, found, told):
        evidence = found("predictions", table, *COLUMNS, *QUICK, "--positive", "yes")
        rows = {one.conditions["group"]: one for one in evidence.estimates if one.name == "selection_rate"}
        counted = [line.split(",") for line in ROWS.splitlines()]
        for group in ("avel", "best"):
            guesses = [row[1] == "yes" for row in counted if row[2] == group]
            assert rows[group].value == pytest.approx(sum(guesses) / len(guesses))
            assert rows[group].n == len(guesses)
        difference = evidence.estimate("demographic_parity_difference")
        assert difference.value == pytest.approx(abs(rows["avel"].value - rows["best"].value))
        assert {one.conditions["metric"] for one in evidence.estimates} == {
            "demographic-parity", "equal-opportunity", "equalised-odds", "predictive-parity", "accuracy-parity",
        }  # fmt: skip
        head, row, *_ = told("predictions", table, *COLUMNS, *QUICK, "--positive", "yes").splitlines()
        assert head.split() == ["metric", "figure", "value", "p", "worst"]
        assert row.startswith("demographic-parity  demographic parity difference by dialect (difference) ")

    def test_rows_of_a_unit_hang_together(self, table: Path, found):
        asked = ("predictions", table, *COLUMNS, *QUICK, "--metric", "accuracy-parity")
        alone, users = found(*asked), found(*asked, "--unit", "user")
        assert {one.n for one in users.estimates if "group" in one.conditions} == {9}
        assert [one.value for one in alone.estimates] == [one.value for one in users.estimates]
        assert "user" in {one.conditions["resampled"] for one in users.estimates}

    @pytest.mark.parametrize("metric", ["calibration", "unintended-bias-auc"])
    def test_metrics_of_scores(self, table: Path, found, refused, metric: str):
        asked = ("predictions", table, *COLUMNS, *QUICK, "--metric", metric)
        assert all(one.conditions["metric"] == metric for one in found(*asked, *SCORES).estimates)
        assert "give `scores`, the probability of each class" in refused(*asked)

    def test_options_of_a_metric(self, table: Path, found):
        asked = ("predictions", table, *COLUMNS, *QUICK, *SCORES, "--metric", "calibration")
        assert max(one.conditions.get("bins", 0) for one in found(*asked).estimates) > 1
        assert max(one.conditions.get("bins", 0) for one in found(*asked, "--set", "calibration.bins=1").estimates) == 1

    def test_one_seed_one_answer(self, table: Path, told):
        asked = ("predictions", table, *COLUMNS, *QUICK, "--json")
        assert told(*asked, "--seed", "4") == told(*asked, "--seed", "4") != told(*asked, "--seed", "5")

    def test_groups_of_several_and_of_none(self, tmp_path: Path, found, refused):
        path = tmp_path / "t.csv"
        path.write_text("label,guess,who\n" + "yes,no,a+b\nno,no,a\nno,yes,b+none\nyes,yes,none\nyes,yes,+a\n" * 6)
        asked = ("predictions", path, *COLUMNS[:4], "--group", "who", "--separator", "+", "--no-group", "none", *QUICK)
        rows = found(*asked, "--metric", "error-rate-equality").estimates
        assert {one.conditions["group"] for one in rows if "group" in one.conditions} == {"a", "b"}
        assert "belong to more than one group of 'who' (6 of 'a' and 'b')" in refused(*asked)
        assert "no group 'nome': no row of who has this value; did you mean 'none'?" in refused(*asked, "--no-group", "nome")


class TestListing:
    def test_every_metric(self, told):
        printed = told("metrics").splitlines()
        assert printed[0].split() == ["metric", "looks", "at", "notion", "kind"]
        assert len(printed) == 32
        assert len(json.loads(told("metrics", "--json"))["metrics"]) == 31

    def test_the_card_of_one(self, told, refused):
        printed = told("metrics", "--name", "weat").splitlines()
        assert printed[0] == "name: weat"
        assert sum(line.startswith("criticism: ") for line in printed) >= 3
        assert max(map(len, printed)) <= 100
        (card,) = json.loads(told("metrics", "--name", "weat", "--json"))["metrics"]
        assert card["needs"] == "vectors"
        assert "did you mean 'weat'?" in refused("metrics", "--name", "wheat")


SPOILT = {
    "nothing": ("", "the file is empty"),
    "a heading": (HEAD, "holds no rows below its heading"),
    "a short row": (HEAD + ROWS + "yes,no\n", "line 62: 2 fields, the first line names 6"),
    "a long row": (HEAD + "yes,no,a,u,1,0,9\n" + ROWS, "line 2: 7 fields, the first line names 6"),
    "a heading twice": ("label,guess,dialect,guess\nyes,no,a,b\n", "a column stands twice"),
    "an open quote": (HEAD + '"yes,no,a,u,1,0\n', "line 2: 1 fields, the first line names 6"),
    "semicolons": (HEAD.replace(",", ";") + ROWS.replace(",", ";"), "no column 'label'; Valid: label;guess"),
    "an empty label": (HEAD + ROWS + ",no,avel,u1,1,0\n", "line 62: column 'label' is empty; leave such rows out"),
    "an empty guess": (HEAD + "yes, ,avel,u1,1,0\n" + ROWS, "line 2: column 'guess' is empty"),
}


class TestBadTables:
    @pytest.mark.parametrize("name", SPOILT)
    def test_a_spoilt_file_is_named_with_its_line(self, name: str, tmp_path: Path, refused):
        text, complaint = SPOILT[name]
        path = tmp_path / "spoilt.csv"
        path.write_text(text)
        printed = refused("predictions", path, *COLUMNS)
        assert "spoilt.csv" in printed
        assert complaint in printed

    @pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
    def test_text_that_is_not_utf_8_is_refused(self, tmp_path: Path, refused, encoding: str):
        path = tmp_path / "t.csv"
        path.write_text(HEAD + ROWS + "yes,no,é,u1,1,0\n", encoding=encoding)
        assert "not UTF-8" in refused("predictions", path, *COLUMNS)

    def test_what_is_no_file_is_refused(self, tmp_path: Path, refused):
        assert "no such file; beside it stand: nothing" in refused("predictions", tmp_path / "none.csv", *COLUMNS)
        assert "this is a folder, not a file" in refused("predictions", tmp_path, *COLUMNS)

    @pytest.mark.parametrize("written", [lambda text: b"\xef\xbb\xbf" + text, gzip.compress, lambda text: text.replace(b"\n", b"\r\n")])
    def test_a_byte_order_mark_gzip_and_other_line_ends_change_nothing(self, table: Path, tmp_path: Path, found, written: Callable):
        other = tmp_path / "other" / table.name
        other.parent.mkdir()
        other.write_bytes(written(table.read_bytes()))
        asked = (*COLUMNS, *QUICK, "--metric", "accuracy-parity")
        assert found("predictions", other, *asked) == found("predictions", table, *asked)

    def test_cells_of_all_kinds(self, tmp_path: Path, found, told):
        path = tmp_path / "t.csv"
        names = ["a, b", 'say "x"', "two\nlines", "<script>alert(1)</script>", "\u202eevil", "\x1b[31mred", "Ünal 名"]
        rows = "".join(
            f'{label},{guess},"{name.replace(chr(34), chr(34) * 2)}"\n'
            for name in names
            for label in ("oui", "non")
            for guess in ("oui", "non")
        )
        path.write_text("label,guess,dialect\n" + rows * 3, newline="")
        evidence = found("predictions", path, *COLUMNS, *QUICK, "--metric", "accuracy-parity")
        assert {one.conditions["group"] for one in evidence.estimates if "group" in one.conditions} == set(names)
        printed = told("predictions", path, *COLUMNS, *QUICK, "--metric", "accuracy-parity")
        assert "\x1b" not in printed
        assert "\u202e" not in printed
        assert "\\x1b[31mred" in printed
        assert "two\\nlines" in printed
        assert "Ünal 名" in printed
        assert "<script>alert(1)</script>" in printed, "a terminal takes it for text"

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (["--true", "lable"], "no column 'lable'; did you mean 'label'?"),
            (["--predicted", "guest"], "did you mean 'guess'?"),
            (["--group", "dialekt"], "did you mean 'dialect'?"),
            (["--group", "dialect"], "'dialect' stands twice; name each attribute once"),
            (["--unit", "usr"], "did you mean 'user'?"),
            (["--positive", "yess"], "positive class 'yess' is none of the classes no, yes"),
            (["--positive", "yes", "--positive", "no"], "give at least one and not all of no, yes"),
            (["--no-group", "avell"], "did you mean 'avel'?"),
            (["--no-group", "avel", "--no-group", "best"], "'dialect' names no group"),
            (["--separator", ""], "separator is empty"),
            (["--score", "yes"], "is not of the form LABEL=COLUMN"),
            (["--score", "yes="], "is not of the form LABEL=COLUMN"),
            (["--score", "yes=p_yes", "--score", "yes=p_no"], "names a label twice"),
            (["--score", "yes=p_yes"], "not for 'no'; give the probability of every label"),
            (["--score", "yes=p_yess", "--score", "no=p_no"], "did you mean 'p_yes'?"),
            (["--score", "yes=user", "--score", "no=p_no"], "line 2: column 'user' is 'u0'; give a probability from 0 to 1"),
            (["--metric", "equal-oportunity"], "did you mean 'equal-opportunity'?"),
            (["--metric", "weat", "--set", "weat.stimuli=s.json"], "weat looks at vectors, and a table holds decisions only"),
            (["--metric", "stereoset"], "data is missing"),
            (["--metric", "weat"], "the option 'stimuli' has no default; give it"),
            (["--metric", "os:getcwd"], "os:getcwd is no metric of fairness"),
            (["--metric", "no_such_module:Metric"], "no module 'no_such_module'"),
            (["--metric", "tpr-gap", "--set", "tpr-gap.first=avel", "--set", "tpr-gap.second=bst"], "did you mean 'best'?"),
            (["--metric", "hatexplain-bias", *SCORES], "none of hatespeech, offensive is among the classes no, yes"),
            (["--metric", "calibration", *SCORES, "--set", "calibration.bins=many"], "'bins' is 'many'; give a whole number"),
            (["--metric", "calibration", *SCORES, "--set", "calibration.bins=true"], "'bins' is True; give a whole number"),
            (["--metric", "calibration", *SCORES, "--set", "calibration.bins=2.5"], "'bins' is 2.5; give a whole number"),
            (["--metric", "calibration", *SCORES, "--set", "calibration.bins=[1, 2]"], "'bins' is [1, 2]; give a whole number"),
            (["--metric", "calibration", *SCORES, "--set", "calibration.bins=0"], "give a whole number of at least 1"),
            (["--metric", "unintended-bias-auc", "--set", "unintended-bias-auc.power=big"], "'power' is 'big'; give a number"),
            (["--metric", "calibration", "--set", "calibration.bin=3"], "did you mean 'bins'?"),
            (["--set", "calibration.bins=3"], "metric 'calibration' is not asked for"),
            (["--set", "bins=3"], "is not of the form METRIC.OPTION=VALUE"),
            (["--margin", "0"], "margin 0.0 is not above 0"),
            (["--margin", "nan"], "margin nan is not above 0"),
            (["--margin", "inf"], "margin inf is not above 0 and finite; say which differences are fair enough"),
            (["--level", "1"], "level 1.0 is outside (0, 1)"),
            (["--level", "nan"], "level nan is outside (0, 1)"),
            (["--replicates", "1"], "replicates 1 is below 100; give a whole number of at least 100"),
            (["--permutations", "0"], "permutations 0 is below 100"),
            (["--seed", "-1"], "seed -1 must not be below 0"),
            (["--part", "test"], "does not know '--part'"),
        ],
    )
    def test_what_is_asked_wrongly_is_answered_with_the_cure(self, table: Path, refused, words: Sequence[str], complaint: str):
        assert complaint in refused("predictions", table, *COLUMNS, *words)

    @pytest.mark.parametrize("cell", ["7", "-0.1", "nan", "inf", "", "x"])
    def test_what_is_no_probability_is_named_with_its_line(self, table: Path, refused, cell: str):
        table.write_text(HEAD + ROWS + f"yes,no,avel,u1,{cell},0.5\n")
        printed = refused("predictions", table, *COLUMNS, *SCORES)
        assert f"line 62: column 'p_yes' is {cell!r}; give a probability from 0 to 1" in printed

    def test_no_group_is_asked_for(self, table: Path, refused):
        assert "name at least one column to compare: --group NAME" in refused("predictions", table, *COLUMNS[:4])

    def test_a_group_of_one_is_shown_without_more_than_it_can_say(self, tmp_path: Path, found, told):
        path = tmp_path / "t.csv"
        path.write_text("label,guess,dialect\n" + "yes,no,a\nno,no,a\nyes,yes,a\n" * 9 + "yes,yes,lonely\n")
        evidence = found("predictions", path, *COLUMNS, *QUICK, "--metric", "accuracy-parity", "--margin", "0.05")
        (row,) = (one for one in evidence.estimates if one.conditions.get("group") == "lonely")
        assert (row.value, row.interval, row.n) == (1.0, None, 1)
        assert "it rests on one row" in row.method
        assert evidence.estimate("accuracy_parity_difference").conditions["verdict"] == "not enough data"
        printed = told("predictions", path, *COLUMNS, *QUICK, "--metric", "equal-opportunity", "--positive", "no")
        assert "equal opportunity difference by dialect (difference) (some left out)" not in printed
        assert "'lonely' has no row that is truly positive among 1" in printed


class TestBadStimuli:
    @pytest.fixture
    def vectors(self, tmp_path: Path) -> Path:
        return world.vectors_file(tmp_path / "v.txt")

    @pytest.mark.parametrize(
        ("changed", "complaint"),
        [
            ({"target_x": []}, "there is no word in it"),
            ({"target_x": ["rose", "rose"]}, "'rose' stands twice"),
            ({"target_x": ["rose", "ant"]}, "'ant' stands in both sets"),
            ({"target_x": [1, 2]}, "not a text but 1"),
            ({"target_x": [" "]}, "the text is empty"),
        ],
    )
    def test_sets_that_are_none(self, vectors: Path, tmp_path: Path, refused, changed: dict, complaint: str):
        path = world.stimuli(tmp_path / "s.json", **changed)
        assert complaint in refused("weat", "--vectors", vectors, "--stimuli", path)

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("", "no vectors"),
            ("rose 1 nan\nant 1 2\n", "line 1: a number is not finite"),
            ("rose 1 2 3\nant 1 2\n", "line 2: 2 numbers, expected 3"),
            ("rose\t1\t2\n", "expected at least 1: a word and its numbers"),
        ],
    )
    def test_vectors_that_are_none(self, tmp_path: Path, refused, text: str, complaint: str):
        path = tmp_path / "v.txt"
        path.write_text(text)
        assert complaint in refused("weat", "--vectors", path, "--stimuli", world.stimuli(tmp_path / "s.json"))

    def test_a_word_of_zeros_and_a_test_of_another_name(self, vectors: Path, tmp_path: Path, refused):
        sets = world.stimuli(tmp_path / "s.json")
        assert "did you mean 'flowers'?" in refused("weat", "--vectors", vectors, "--stimuli", sets, "--test", "flower")
        lines = [line if not line.startswith("rose") else "rose" + " 0" * 12 for line in vectors.read_text().splitlines()]
        vectors.write_text("\n".join(lines))
        assert "the vector of 'rose' is all zeros" in refused("weat", "--vectors", vectors, "--stimuli", sets)

    def test_words_of_another_language_leave_no_number_and_a_notice(self, tmp_path: Path, told):
        path = tmp_path / "v.txt"
        path.write_text("Rose 1 2\nAmeise 2 1\n")
        printed = told("weat", "--vectors", path, "--stimuli", world.stimuli(tmp_path / "s.json"), *QUICK)
        assert "are missing, more than the share 0.2 that may be" in printed
        assert "another language" in printed


def estimate(name: str = "gap", **conditions: object) -> Estimate:
    told_of = {"metric": "mine", **conditions}
    interval = Interval(low=0.1, high=0.3, level=0.95, method="made")
    return Estimate(name=name, subject="r", value=0.2, unit="share", direction="neither", interval=interval, n=1234, conditions=told_of)


class TestWords:
    """What a terminal shows of evidence."""

    def test_figures_that_are_alike_are_told_apart(self):
        rows = [estimate(groups="d", statistic="difference", classes=kind) for kind in ("worst", "macro mean")]
        rows += [estimate(groups="d", statistic="difference", **{"left out": "0/0: group 'x' has no row"})]
        printed = groups.words(Evidence(estimates=tuple(rows)))
        assert [re.split(r" {2,}", line)[1] for line in printed[0].splitlines()[1:]] == [
            "gap by d (worst class) (difference)",
            "gap by d (mean over classes) (difference)",
            "gap by d (difference) (some left out)",
        ]
        assert printed[1] == "mine gap by d (difference) (some left out): some left out: 0/0: group 'x' has no row"

    def test_columns_that_say_nothing_are_left_out(self):
        (printed,) = groups.words(Evidence(estimates=(estimate(),)))
        assert printed == "metric  figure  value\nmine    gap     0.2 [0.1, 0.3]"
        (full,) = groups.words(Evidence(estimates=(estimate(p_value=0.031, verdict="unfair", worst="a"),)))
        assert full.splitlines()[0].split() == ["metric", "figure", "value", "p", "verdict", "worst"]

    def test_groups_stand_in_a_table_of_their_own(self):
        printed = groups.words(Evidence(estimates=(estimate(), estimate(group="a, b")), notes=("a\tb",)))
        assert printed[2] == "metric  figure  group  n      value\nmine    gap     a, b   1,234  0.2 [0.1, 0.3]"
        assert printed[-1] == "note: a\\tb"
