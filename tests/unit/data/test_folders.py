import pytest

from holdfast.core.errors import DataError
from holdfast.data import load_data
from holdfast.data.folders import part_files

WORDS, TAGS, LABELS = "play Orla Venn\nstop\n", "O B-artist I-artist\nO\n", "play\nstop\n"


@pytest.fixture
def snips(write, tmp_path):
    """A folder in the form of SNIPS, one part of it gzipped; keywords replace files of the training part."""

    def make(**changed):
        files = {"seq_in": WORDS, "seq_out": TAGS, "label": LABELS}
        for part in ("train", "dev", "test"):
            for name, text in (files | changed if part == "train" else files).items():
                if text is not None:
                    write(f"corpus/{part}/{name.replace('_', '.')}", text, zipped=part == "test")
        return tmp_path / "corpus"

    return make


def test_snips_folders_are_read_zipped_or_not(snips):
    data = load_data(f"snips:{snips()}")
    assert data.name == "corpus"
    for part in data.parts:
        assert part.tokens() == [["play", "Orla", "Venn"], ["stop"]]
        assert part.tags() == [["O", "B-artist", "I-artist"], ["O"]]
        assert part.labels() == ["play", "stop"]
    assert [part.split for part in data.parts] == ["train", "validation", "test"]


def test_unequal_token_and_tag_counts_name_file_and_line(snips):
    with pytest.raises(DataError, match=r"train/seq\.in, line 2: 1 tokens but 2 tags"):
        load_data(f"snips:{snips(seq_out=TAGS[:-1] + ' O')}")
    assert len(load_data(f"snips:{snips(seq_out=TAGS[:-1] + ' O')}", bad_rows="skip").train) == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"label": "play\n"}, "line 2: label ended before"), ({"seq_in": "play Orla Venn\n"}, "line 2: seq.in ended before")],
)
def test_files_of_unequal_length_name_the_short_one(snips, changed, why):
    with pytest.raises(DataError, match=why):
        load_data(f"snips:{snips(**changed)}")


def test_a_line_that_is_blank_in_one_file_is_an_error_and_in_all_is_passed_over(snips):
    with pytest.raises(DataError, match=r"line 1: column 'label' is empty"):
        load_data(f"snips:{snips(label=chr(10) + 'stop')}")
    assert len(load_data(f"snips:{snips(seq_in=WORDS + chr(10), seq_out=TAGS + chr(10), label=LABELS + chr(10))}").train) == 2


def test_a_missing_file_or_folder_is_named(snips, tmp_path):
    with pytest.raises(DataError, match=r"train/seq\.out: no such file; beside it stand: label, seq\.in"):
        load_data(f"snips:{snips(seq_out=None)}")
    with pytest.raises(DataError, match="no such folder"):
        load_data(f"snips:{tmp_path / 'none'}")
    folder = snips()
    (folder / "train").rename(folder / "elsewhere")
    with pytest.raises(DataError, match=r"no folder for 'train' .*; there is dev, elsewhere, test"):
        load_data(f"snips:{folder}")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["train.csv", "dev.csv.gz", "test.csv", "README.md"], {"train": "train.csv", "validation": "dev.csv.gz", "test": "test.csv"}),
        (
            ["a17train.conll.gz", "b.dev.conll", "b.test.annotated"],
            {"train": "a17train.conll.gz", "validation": "b.dev.conll", "test": "b.test.annotated"},
        ),
        (["train.csv", "test.csv", "latest.txt", ".train.csv.swp"], {"train": "train.csv", "test": "test.csv"}),
        (["training.csv", "Valid.csv", "test.csv"], {"train": "training.csv", "validation": "Valid.csv", "test": "test.csv"}),
    ],
)
def test_parts_are_found_by_name(tmp_path, write, names, found):
    for name in names:
        write(name, "x")
    assert {part: path.name for part, path in part_files(tmp_path).items()} == found


def test_a_missing_or_double_part_is_an_error_naming_the_files(tmp_path, write):
    write("train.csv", "x")
    with pytest.raises(DataError, match=r"no file for 'test'; there is train\.csv"):
        part_files(tmp_path)
    write("test.csv", "x")
    write("test.jsonl", "x")
    with pytest.raises(DataError, match=r"several files for 'test': test\.csv, test\.jsonl"):
        part_files(tmp_path)
