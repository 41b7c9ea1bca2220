"""Studies of published questions that one command does again, over grids of settings and seeds."""

from holdfast.study.reproductions.grid import Grid
from holdfast.study.reproductions.reproducing import Reproduction, Work, grid_of, reproduce, work_of

__all__ = ["Grid", "Reproduction", "Work", "grid_of", "reproduce", "work_of"]
