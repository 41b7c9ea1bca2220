"""The catalog: our own names, names of other packages, dotted paths, and errors that name the cure."""

from fractions import Fraction
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from holdfast import catalog
from holdfast.core.errors import InputError


@pytest.fixture
def with_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("attack.coin", "random:random", catalog.ENTRY_POINT_GROUP),
        EntryPoint("task.intent-slot", "fractions:Fraction", catalog.ENTRY_POINT_GROUP),
        EntryPoint("attack.broken", "no_such_package_anywhere:attack", catalog.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr(catalog, "_entry_points", lambda: EntryPoints(points))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in catalog.CATALOG.items() for name in table])
def test_every_name_of_ours_leads_to_something_callable(kind: str, name: str):
    assert callable(catalog.resolve(kind, name))


def test_takes_a_dotted_path_with_attributes():
    assert catalog.resolve("task", "fractions:Fraction") is Fraction
    assert catalog.resolve("task", "fractions:Fraction.from_float") == Fraction.from_float


@pytest.mark.usefixtures("with_entry_points")
def test_finds_parts_of_other_packages_but_never_lets_them_take_our_names():
    assert "coin" in catalog.names("attack")
    assert callable(catalog.resolve("attack", "coin"))
    assert catalog.CATALOG["task"]["intent-slot"] == catalog._table("task")["intent-slot"]


def test_packages_are_looked_at_once_until_they_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    looked, found = [], [EntryPoint("attack.coin", "random:random", catalog.ENTRY_POINT_GROUP)]
    with monkeypatch.context() as patched:
        patched.setattr(catalog.metadata, "entry_points", lambda group: looked.append(group) or EntryPoints(found))
        catalog.forget()
        assert "coin" in catalog.names("attack")
        found.append(EntryPoint("attack.dice", "random:randint", catalog.ENTRY_POINT_GROUP))
        catalog.resolve("task", "intent-slot")
        assert "dice" not in catalog.names("attack")
        assert looked == [catalog.ENTRY_POINT_GROUP]
        catalog.forget()
        assert callable(catalog.resolve("attack", "dice"))
        assert len(looked) == 2
    catalog.forget()
    assert "coin" not in catalog.names("attack")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("attack", "loss-treshold", "there is no attack 'loss-treshold'; did you mean 'loss-threshold'? Valid: "),
        ("atack", "x", "the catalog has no kind 'atack'; did you mean 'attack'?"),
        ("task", "no_such_package_anywhere:Task", "no module 'no_such_package_anywhere'; install it"),
        ("task", "fractions:Fractoin", "fractions has no 'Fractoin'; did you mean 'Fraction'?"),
        ("task", ":Task", "':Task' is not of the form package.module:Object"),
        ("task", ".relative:Task", "is not of the form"),
        ("task", "fractions:", "is not of the form"),
    ],
)
def test_errors_name_the_cure(kind: str, name: str, message: str):
    with pytest.raises(InputError) as error:
        catalog.resolve(kind, name)
    assert message in str(error.value)


@pytest.mark.usefixtures("with_entry_points")
def test_a_registered_part_whose_package_is_gone_says_which():
    with pytest.raises(InputError, match="attack 'broken': no module 'no_such_package_anywhere'"):
        catalog.resolve("attack", "broken")


def test_a_missing_dependency_of_a_named_module_is_the_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "needs_more.py").write_text("import a_missing_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="no module 'a_missing_dependency'"):
        catalog.resolve("attack", "needs_more:attack")
