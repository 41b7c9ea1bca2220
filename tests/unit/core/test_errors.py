"""The tree of errors: what catches what, which exit code each brings, and messages that name place and cure."""

from pathlib import Path

import pytest

from holdfast.core import errors
from holdfast.core.errors import (
    DataError,
    HoldfastError,
    InputError,
    Interrupted,
    PreflightError,
    RunError,
    StudyError,
    TrainingStopped,
    nearest,
)

ALL = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, HoldfastError)}


@pytest.mark.parametrize(
    ("kind", "code"),
    [(InputError, 2), (DataError, 2), (StudyError, 2), (PreflightError, 2), (RunError, 2), (TrainingStopped, 1), (Interrupted, 130)],
)
def test_exit_codes(kind: type[HoldfastError], code: int):
    assert kind.exit_code == code


def test_one_class_catches_all_that_is_raised_on_purpose():
    assert set(ALL) == {
        "HoldfastError",
        "InputError",
        "DataError",
        "StudyError",
        "PreflightError",
        "RunError",
        "TrainingStopped",
        "Interrupted",
    }
    assert all(kind is HoldfastError or issubclass(kind, HoldfastError) for kind in ALL.values())


def test_the_tree_in_the_docstring_is_the_tree():
    for name in ALL:
        assert name in errors.__doc__
    for line in errors.__doc__.splitlines():
        if line.startswith("│   "):
            assert issubclass(ALL[line[4:].split()[1]], InputError)


def test_bad_input_is_also_a_value_error():
    with pytest.raises(ValueError, match="too small"):
        raise InputError("too small")
    assert not issubclass(RunError, ValueError)


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        (None, None, "two tags for three tokens"),
        ("train.conll", None, "train.conll: two tags for three tokens"),
        (Path("train.conll"), 7, "train.conll, line 7: two tags for three tokens"),
        (None, 7, "two tags for three tokens"),
    ],
)
def test_a_data_error_says_where(path: Path | str | None, line: int | None, text: str):
    error = DataError("two tags for three tokens", path=path, line=line)
    assert str(error) == text
    assert error.line == line
    assert error.path == (None if path is None else Path(path))


def test_a_preflight_error_lists_every_reason():
    error = PreflightError(f"reason {number}" for number in (1, 2))
    assert error.reasons == ("reason 1", "reason 2")
    assert str(error) == "cannot train this model privately:\n  - reason 1\n  - reason 2"


def test_nearest_offers_the_closest_name_first():
    assert nearest("clip_nrom", ["noise_multiplier", "clip_norm"]) == "did you mean 'clip_norm'? Valid: clip_norm, noise_multiplier"


def test_nearest_does_not_guess_from_afar():
    assert nearest("zebra", ["epsilon", "delta"]) == "Valid: delta, epsilon"
    assert nearest("", []) == "Valid: "
