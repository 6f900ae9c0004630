"""The part of the page in which readers choose a team and a period."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from analyzer.questions.page.trends import MAX_GROUPS, grouped, time_bucket
from analyzer.questions.scope import Scope
from analyzer.table import COUNT, MS, RATIO, TEXT, Column, Explorer, Figure, Sentence, Table

ADDED = ("lookups", "hits", "time_saved_ms", "hits_of_known_duration")
FIGURES = (
    Figure("Hit rate", RATIO, "hits", "lookups"),
    Figure("Lookups", COUNT, "lookups"),
    Figure("Time saved", MS, "time_saved_ms", known="hits_of_known_duration", of="hits"),
    Figure("Hits of known duration", RATIO, "hits_of_known_duration", "hits"),
)
NO_TEAM, OTHER_TEAMS = "(no team)", "(other teams)"


def build_explorer(scope: Scope, tz: str) -> Explorer | None:
    """Return the lookups of each team over time; None where no lookup has a time."""
    bucket = time_bucket(scope)
    table = grouped(scope, bucket, "team", tz=tz)
    records = [row for row in table.records() if row[bucket] != "unknown"]
    if not records:
        return None
    names = _team_names(records)
    sums = defaultdict[tuple[str, str], list[float | None]](lambda: [None] * len(ADDED))
    for row in records:
        row["hits_of_known_duration"] = round((row["duration_coverage"] or 0) * row["hits"])
        totals = sums[row[bucket], names[row["team"]]]
        totals[:] = [_add(total, row[name]) for total, name in zip(totals, ADDED, strict=True)]
    columns = [Column(name, TEXT, "") for name in (bucket, "team")] + [Column(name, COUNT, "") for name in ADDED]
    explored = Table("explored", columns, [(*key, *totals) for key, totals in sums.items()])
    text = f"Choose a team and a period: the figures and the bars by {bucket} are of these lookups alone."
    rest = "Everything else on this page is about all of the lookups at its top."
    return Explorer("explore", "Explore", [Sentence(text), Sentence(rest)], explored, bucket, "team", FIGURES)


def _team_names(records: list[dict[str, Any]]) -> Mapping[str | None, str]:
    """Return the name of each team: the largest ones have their own, which bounds the size of the page."""
    lookups = defaultdict[str | None, int](int)
    for row in records:
        lookups[row["team"]] += row["lookups"]
    largest = sorted(lookups, key=lambda team: -lookups[team])[:MAX_GROUPS]
    return {team: (team or NO_TEAM) if team in largest else OTHER_TEAMS for team in lookups}


def _add(total: float | None, value: float | None) -> float | None:
    """Add values, of which unknown ones are left out."""
    return total if value is None else (total or 0) + value
