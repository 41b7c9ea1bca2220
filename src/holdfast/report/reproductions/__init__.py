"""The report of a study over a grid of noise levels and seeds: promise against measurement, drawn from stored evidence alone."""

from holdfast.report.reproductions.grid import STATEMENT, GridCell, cells
from holdfast.report.reproductions.reading import Reading, readings
from holdfast.report.reproductions.writing import ReproductionFiles, write_reproduction

__all__ = ["STATEMENT", "GridCell", "Reading", "ReproductionFiles", "cells", "readings", "write_reproduction"]
