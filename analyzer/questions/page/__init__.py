"""The page of `report`: all answers in reading order. Here are the input and the output of its sections."""

from collections.abc import Iterator
from dataclasses import dataclass

from analyzer.questions.options import PageOptions
from analyzer.questions.report import Scope
from analyzer.table import Section, Table


@dataclass(frozen=True, slots=True)
class PageContext:
    """The lookups that the page is about, and its options."""

    scope: Scope
    options: PageOptions


Sections = Iterator[tuple[Section, Table]]
"""Sections of the page, each with the table that it shows; none where the log has no data for them."""
