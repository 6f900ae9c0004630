"""What `compare` answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selected, Selection
from analyzer.metrics.compare import compare as tables_of
from analyzer.metrics.onset import onset
from analyzer.metrics.side import days, measure
from analyzer.report.report import Report, answer, ask

PERIOD = timedelta(days=7)
LAST = "SELECT max(first_at) FROM {selected}"
NOTHING = "{side} has no lookups: there is nothing to compare"


@dataclass(frozen=True, slots=True)
class Sample:
    """A side of the comparison: its name, and the filters that make it."""

    name: str
    filters: Mapping[str, Any]

    @property
    def is_period(self) -> bool:
        """Whether only times tell it from the other side."""
        return bool(self.filters) and set(self.filters) <= {"since", "until"}


def last_two_weeks(opened: Opened, selection: Selection) -> tuple[Sample, Sample]:
    """Return the last seven days of the log, as B, and the seven before."""
    end = ask(opened, selection).selected.ask(LAST)[0][0]
    until = (end or datetime(1970, 1, 1)) + timedelta(microseconds=1)  # noqa: DTZ001  (times are naive UTC here)
    starts = (until - 2 * PERIOD, until - PERIOD)
    names = ("A: the 7 days before", "B: the last 7 days")
    first, second = (
        Sample(name, {"since": start, "until": start + PERIOD}) for name, start in zip(names, starts, strict=True)
    )
    return first, second


def compare(
    opened: Sequence[Opened], selection: Selection, samples: tuple[Sample, Sample] | None, limit: int
) -> Report:
    """Answer `compare` for two samples of one source, or for two sources that are open: four tables.

    Raises:
        UsageError: single events are chosen.
    """
    first, second = samples or last_two_weeks(opened[0], selection)
    before, after = (
        measure(ask(source, replace(selection, **sample.filters), whole="compare").selected)
        for source, sample in zip((opened[0], opened[-1]), (first, second), strict=True)
    )
    began = onset(days(_span(opened[0], selection, first, second))) if first.is_period and second.is_period else None
    tables = tables_of((first.name, second.name), (before, after), began, limit)
    notes = [NOTHING.format(side=s.name) for s, side in ((first, before), (second, after)) if not side.rate.lookups]
    reports = [answer("compare", ask(one, selection), tables, tables[0], notes) for one in opened]
    return replace(reports[0], accounting=sum((one.accounting for one in reports[1:]), reports[0].accounting))


def _span(opened: Opened, selection: Selection, first: Sample, second: Sample) -> Selected:
    """Select from the start of the earlier period to the end of the later one."""
    starts, ends = ([sample.filters.get(name) for sample in (first, second)] for name in ("since", "until"))
    since = min(filter(None, starts)) if all(starts) else None
    until = max(filter(None, ends)) if all(ends) else None
    return ask(opened, replace(selection, since=since, until=until)).selected
