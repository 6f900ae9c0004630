"""A command's answer: its tables, and where their input went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.archive.file import Accounting
from analyzer.archive.opening import Counts, Opened
from analyzer.archive.selection import Selected, Selection, select
from analyzer.errors import UsageError
from analyzer.message import Option
from analyzer.report.caution import cautions
from analyzer.section import Headline, Section, Words
from analyzer.table import Table

KEPT = "SELECT coalesce(sum(events), 0)::BIGINT FROM {selected}"


@dataclass(frozen=True, slots=True)
class Report:
    """A command's answer. `primary` is the table that formats of a single table show; JSON has `facts` beside it.

    A page says what it is `about` (filters, in words) and its `scope`, has its answer in `headlines`, and `sections`
    that show its tables.
    """

    command: str
    accounting: Accounting
    tables: Sequence[Table]
    primary: Table
    notes: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    scope: Sequence[Words] = ()
    headlines: Sequence[Headline] = ()
    sections: Sequence[Section] = ()

    @property
    def title(self) -> str:
        """What a page is called."""
        return f"Remote build cache {self.command}" + (f": {self.about}" if self.about else "")


def account(counts: Counts, kept: int) -> Accounting:
    """Account for the input: what is not kept of the events that were read has been filtered."""
    return Accounting(counts.read, kept, counts.rejected, counts.kept - kept, counts.duplicate, counts.files)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question is about: what is open, the filters, and the lookups they leave."""

    opened: Opened
    selection: Selection
    selected: Selected


def ask(opened: Opened, selection: Selection, needs_both_for: str = "") -> Asked:
    """Select lookups; for a command that needs LOCAL and REMOTE events, `needs_both_for` is its name.

    Raises:
        UsageError: only one of a lookup's LOCAL and REMOTE events may be kept, where both are needed.
        QueryError: SQL of the selection does not run.
    """
    for name in ("source", "event") if needs_both_for else ():
        if getattr(selection, name):
            raise UsageError(Option(name), f": `{needs_both_for}` needs both events of a lookup; leave it out")
    return Asked(opened, selection, select(opened.connection, selection))


def answer(
    command: str,
    asked: Asked,
    tables: Sequence[Table],
    primary: Table | None = None,
    notes: Sequence[str] = (),
    **page: Any,
) -> Report:
    """Return the report of a question; its primary table is the first, unless one is named."""
    counts, kept = asked.opened.counts(), asked.selected.ask(KEPT)[0][0]
    said = cautions(asked.opened, asked.selection, counts.kept, kept)
    facts = {"view": asked.opened.view}
    return Report(command, account(counts, kept), tables, primary or tables[0], [*said, *notes], facts, **page)
