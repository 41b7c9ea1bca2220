"""Colours of runs can be read, and told apart by everyone, by day and by night."""

import itertools
import re

import numpy as np
import pytest

from holdfast.report.figures import theme

MACHADO = {  # Machado, Oliveira, Fernandes 2009, severity 1, for linear RGB
    "everyone": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
)
TO_OKLAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]
)

schemes = pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def seen(colour: str, vision: str) -> np.ndarray:
    """The colour in OKLab, where equal distances look equally different."""
    return TO_OKLAB @ np.cbrt(TO_LMS @ np.clip(MACHADO[vision] @ linear(colour), 0, 1))


def contrast(one: str, other: str) -> float:
    weights = [0.2126, 0.7152, 0.0722]
    low, high = sorted((linear(one) @ weights, linear(other) @ weights))
    return (high + 0.05) / (low + 0.05)


def runs(scheme: int) -> tuple[str, ...]:
    return (theme.RUNS_LIGHT, theme.RUNS_DARK)[scheme]


@schemes
@pytest.mark.parametrize("vision", MACHADO)
def test_runs_differ_under_every_kind_of_vision(scheme: int, vision: str):
    colours = [seen(colour, vision) for colour in runs(scheme)]
    gaps = {pair: np.linalg.norm(colours[pair[0]] - colours[pair[1]]) for pair in itertools.combinations(range(6), 2)}
    assert min(gap for pair, gap in gaps.items() if max(pair) < 4) > 0.1
    assert min(gaps.values()) > 0.05


def test_red_and_green_are_seen_to_be_alike_by_some():
    """The measure itself: a pair that is known to be confused comes out as near."""
    far, near = (np.linalg.norm(seen("#b03030", vision) - seen("#5a6a1e", vision)) for vision in ("everyone", "deuteranopia"))
    assert near < 0.4 * far


@schemes
def test_names_of_runs_and_all_words_can_be_read(scheme: int):
    page, surface = (theme.ROLES[name][scheme] for name in ("page", "surface"))
    assert min(contrast(colour, page) for colour in runs(scheme)) >= 4.5
    for name in ("ink", "muted", "link", "good", "caution", "bad"):
        assert min(contrast(theme.ROLES[name][scheme], ground) for ground in (page, surface)) >= 4.5


def test_a_colour_stands_for_one_thing():
    lights = [light for light, _ in theme.variables().values()]
    assert len(set(lights)) == len(lights), "a drawing could not tell which variable was meant"


def test_twelve_runs_have_looks_of_their_own():
    looks = [(theme.colour(run), theme.shape(run)) for run in range(12)]
    assert len(set(looks)) == 12
    assert len({theme.shape(run) for run in range(6)}) == 6


def test_colours_become_variables_with_a_colour_to_fall_back_on():
    tag = f'<path fill="{theme.colour(1)}" stroke="{theme.role("grid")}" d="M0,0"/>'
    assert theme.as_variables(tag) == '<path fill="var(--run-2, #c8480c)" stroke="var(--grid, #e3e7ea)" d="M0,0"/>'
    assert theme.as_variables('<path fill="none"/>') == '<path fill="none"/>'


def test_every_value_is_a_colour():
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for pair in theme.variables().values() for colour in pair)
