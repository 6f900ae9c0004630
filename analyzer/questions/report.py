"""A command's answer: its tables, and where their input went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.archive.accounting import Accounting
from analyzer.archive.open_log import EventCounts, OpenLog
from analyzer.archive.selection import LookupsQuery, Selection, select_lookups
from analyzer.errors import Option, UsageError
from analyzer.questions.notes import answer_notes
from analyzer.table import Headline, Section, Sentence, Table

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
    scope: Sequence[Sentence] = ()
    headlines: Sequence[Headline] = ()
    sections: Sequence[Section] = ()

    @property
    def title(self) -> str:
        """What a page is called."""
        return f"Remote build cache {self.command}" + (f": {self.about}" if self.about else "")


def account_for(counts: EventCounts, kept: int) -> Accounting:
    """Account for the input: what is not kept of the events that were read has been filtered."""
    return Accounting(counts.read, kept, counts.rejected, counts.kept - kept, counts.duplicate, counts.files)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is about: what is open, the filters, and the lookups they leave."""

    log: OpenLog
    selection: Selection
    selected: LookupsQuery


def select_scope(log: OpenLog, selection: Selection, needs_both_for: str = "") -> Scope:
    """Select lookups; for a command that needs LOCAL and REMOTE events, `needs_both_for` is its name.

    Raises:
        UsageError: only one of a lookup's LOCAL and REMOTE events may be kept, where both are needed.
        QueryError: SQL of the selection does not run.
    """
    for name in ("source", "event") if needs_both_for else ():
        if getattr(selection, name):
            raise UsageError(Option(name), f": `{needs_both_for}` needs both events of a lookup; leave it out")
    return Scope(log, selection, select_lookups(log.connection, selection))


def build_report(
    command: str,
    asked: Scope,
    tables: Sequence[Table],
    primary: Table | None = None,
    notes: Sequence[str] = (),
    **page: Any,
) -> Report:
    """Return the report of a question; its primary table is the first, unless one is named."""
    counts, kept = asked.log.counts(), asked.selected.rows(KEPT)[0][0]
    said = answer_notes(asked.log, asked.selection, counts.kept, kept)
    facts = {"view": asked.log.view}
    return Report(command, account_for(counts, kept), tables, primary or tables[0], [*said, *notes], facts, **page)
