"""The report of a run: one self-contained HTML page, made from the result file alone and never from a simulator."""

from neuroplast.report.page import write_report
from neuroplast.report.section import Section

__all__ = ["Section", "write_report"]
