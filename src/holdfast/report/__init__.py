"""The report: a pure function of stored records and evidence to one page, one JSON document and one model card."""

from holdfast.report.document import Document, gather
from holdfast.report.writing import ReportFiles, write_report

__all__ = ["Document", "ReportFiles", "gather", "write_report"]
