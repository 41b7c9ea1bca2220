"""The reports of studies over grids of settings and seeds, drawn from stored evidence alone."""

from holdfast.report.reproductions.presentation import Presentation, Reading, Row
from holdfast.report.reproductions.writing import ReproductionFiles, write_reproduction

__all__ = ["Presentation", "Reading", "ReproductionFiles", "Row", "write_reproduction"]
