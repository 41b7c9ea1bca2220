"""Studies of published questions that one command does again, over grids of settings and seeds."""

from holdfast.study.reproductions.grid import Grid, Study
from holdfast.study.reproductions.reproducing import Reproduction, Work, reproduce, work_of
from holdfast.study.reproductions.studies import STUDIES, grid_of, study_of

__all__ = ["STUDIES", "Grid", "Reproduction", "Study", "Work", "grid_of", "reproduce", "study_of", "work_of"]
