"""The studies that can be done again, by name."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.core.errors import InputError, nearest
from holdfast.study.reproductions.canary_extraction import CANARY_EXTRACTION
from holdfast.study.reproductions.client_selection import CLIENT_SELECTION
from holdfast.study.reproductions.edp_sgd import EDP_SGD
from holdfast.study.reproductions.grid import Grid, Study, read_grid

STUDIES: Mapping[str, Study] = {study.name: study for study in (EDP_SGD, CANARY_EXTRACTION, CLIENT_SELECTION)}
"""All of them."""


def study_of(name: str) -> Study:
    """A study that can be done again.

    Args:
        name: "edp-sgd": practical against theoretical privacy, after Dupuy et al. 2022 (arXiv 2107.14586). "canary-extraction":
            planted secrets and what stops an attacker from completing them, after Parikh et al. 2022 (arXiv 2203.13920).
            "client-selection": drawing clients by their activity, after Dupuy et al. 2022 (arXiv 2202.03925).

    Raises:
        InputError: For an unknown name, with the nearest one.
    """
    if name not in STUDIES:
        raise InputError(f"there is no study {name!r} to reproduce; {nearest(name, STUDIES)}")
    return STUDIES[name]


def grid_of(name: str, *, quick: bool = False, source: str | None = None) -> Grid:
    """The runs of a study that can be done again.

    Args:
        name: Of the study; see `study_of`.
        quick: A smaller grid.
        source: Other data than the embedded corpus, such as ``snips:FOLDER``.

    Raises:
        InputError: For an unknown name, with the nearest one.
    """
    return read_grid(study_of(name), quick=quick, source=source)
