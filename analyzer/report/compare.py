"""What `compare` answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.errors import UsageError
from analyzer.message import Message, Option
from analyzer.metrics.compare import compare as tables_of
from analyzer.metrics.onset import onset
from analyzer.metrics.side import Side, days, measure
from analyzer.moment import later
from analyzer.report.caution import misnamed
from analyzer.report.report import Asked, Report, answer, ask

PERIOD = timedelta(days=7)
LAST = "SELECT max(first_at) FROM {selected}"
KEEP = """
CREATE OR REPLACE TEMP TABLE side_{place} AS SELECT session_id, hash_id, kinds, first_at, events FROM {{selected}}
"""
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
    until = later(end or datetime(1970, 1, 1), timedelta(microseconds=1))  # noqa: DTZ001  (times are naive UTC here)
    start, between = later(until, -2 * PERIOD), later(until, -PERIOD)
    return (
        Sample("A: the 7 days before", {"since": start, "until": between}),
        Sample("B: the last 7 days", {"since": between, "until": until}),
    )


def compare(
    opened: Sequence[Opened], selection: Selection, samples: tuple[Sample, Sample] | None, limit: int
) -> Report:
    """Answer `compare` for two samples of one source, or for two sources that are open: four tables.

    A source that stands on both sides is one: its events are accounted for once.

    Raises:
        UsageError: `source` or `event` is given, or a filter is given for a side and for both.
    """
    if len({one.view for one in opened}) > 1:
        raise UsageError("one side has events and the other run summaries only; compare like with like")
    pair = samples or last_two_weeks(opened[0], selection)
    asked = [
        _side(source, selection, sample, place)
        for place, (source, sample) in enumerate(zip((opened[0], opened[-1]), pair, strict=True))
    ]
    before, after = (side for _, side in asked)
    places = [(0, 1)] if opened[0] is opened[-1] else [(0,), (1,)]
    kept = [_kept(asked[of[0]][0], of) for of in places]
    periods = all(sample.is_period for sample in pair)
    began = onset(days(kept[0].selected)) if periods and len(kept) == 1 else None
    tables = tables_of((pair[0].name, pair[1].name), (before, after), began, limit)
    notes = [NOTHING.format(side=s.name) for s, (_, side) in zip(pair, asked, strict=True) if not side.rate.lookups]
    cut = Message(f"{limit:,} groups shown of each dimension (", Option("limit"), ")")
    notes += [cut] if _is_cut(before, after, limit) else []
    if len(kept) == 1:
        notes += misnamed(opened[0], asked[1][0].selection)
    reports = [answer("compare", one, tables, tables[0], notes if one is kept[0] else ()) for one in kept]
    said = dict.fromkeys(note for one in reports for note in one.notes)
    accounting = sum((one.accounting for one in reports[1:]), reports[0].accounting)
    return replace(reports[0], accounting=accounting, notes=list(said))


def _side(opened: Opened, selection: Selection, sample: Sample, place: int) -> tuple[Asked, Side]:
    """Measure a side, and keep which lookups it was made of."""
    asked = ask(opened, narrowed(selection, sample), needs_both_for="compare")
    side = measure(asked.selected)
    asked.selected.execute(KEEP.format(place=place))
    return asked, side


def narrowed(selection: Selection, sample: Sample) -> Selection:
    """Return the filters of both: a side never has more than --since, --until and the others let through."""
    filters = dict(sample.filters)
    for name, narrower in (("since", max), ("until", min)):
        both = [moment for moment in (getattr(selection, name), filters.pop(name, None)) if moment]
        filters |= {name: narrower(both)} if both else {}
    for name in filters.keys() - {"since", "until"}:
        if getattr(selection, name) not in ((), None):
            raise UsageError(f"{sample.name}: ", Option(name), " is given for both sides; leave out one of the two")
    return replace(selection, **filters)


def _kept(asked: Asked, places: Sequence[int]) -> Asked:
    """Ask about the lookups of the sides at these places, which were measured of one source, each once."""
    tables = [f"FROM side_{place}" for place in places]
    sql = f"SELECT DISTINCT * FROM ({' UNION ALL '.join(tables)})"
    return replace(asked, selected=replace(asked.selected, sql=sql))


def _is_cut(before: Side, after: Side, limit: int) -> bool:
    return any(len(before.groups[name].keys() | after.groups[name].keys()) > limit for name in before.groups)
