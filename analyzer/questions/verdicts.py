"""Says what an answer means, in one or two sentences computed from its tables.

A verdict says what cannot be known, and never states a candidate as a fact.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from analyzer.questions.miss_classes import CLASSES, LOCAL_ONLY
from analyzer.questions.options import DEFAULT_MAX_LOCAL_ONLY
from analyzer.questions.report import Report
from analyzer.table import COUNT, FACTOR, MS, POINTS, RATIO, TEXT, Sentence, Table

Tables = Mapping[str, Table]

MIN_GAIN = 0.01  # of the remote hit rate, for another retention to be recommended
LONGER, SHORTER = 2, 0.5  # the retentions that the present one is compared with


def with_verdict(report: Report) -> Report:
    """Return the report with its verdict; a page and the answers of SQL have none."""
    tables = {table.name: table for table in report.tables}
    name = "run" if report.command == "causes" and "run" in tables else report.command
    name = "session" if name == "sessions" and "session" in tables else name
    return replace(report, verdict=list(VERDICTS[name](tables))) if name in VERDICTS and tables else report


def _stats(tables: Tables) -> Iterator[Sentence]:
    if "totals" not in tables:
        return  # the definitions alone
    (totals,) = tables["totals"].records()
    lookups, hits, saved = totals["lookups"], totals["hits"], totals["time_saved_ms"]
    rate = [(totals["hit_rate"], RATIO), (lookups, COUNT)]
    if not lookups:
        yield Sentence("There are no lookups.")
    elif not hits:
        yield Sentence("None of {} lookups was a hit.", [(lookups, COUNT)])
    elif saved is None:
        text = "{} of {} lookups were hits. How much time that saved is unknown: no hit has a known duration."
        yield Sentence(text, rate)
    else:
        unknown = 1 - totals["duration_coverage"]
        least = "at least " if unknown else ""
        days = (totals["last_at"] - totals["first_at"]).days + 1 if totals["first_at"] else None
        period = " in {} days" if days and days > 1 else ""
        text = f"The cache saved {least}{{}} of task time{period}: {{}} of {{}} lookups were hits"
        values = [(saved, MS), *([(days, COUNT)] if period else []), *rate]
        if unknown:
            yield Sentence(f"{text} ({{}} of the hits have no known duration).", [*values, (unknown, RATIO)])
        else:
            yield Sentence(f"{text}.", values)


def _misses(tables: Tables) -> Iterator[Sentence]:
    (totals,) = tables["misses"].records()
    if not totals["misses"]:
        text = "None of {} lookups missed." if totals["lookups"] else "There are no lookups."
        yield Sentence(text, [(totals["lookups"], COUNT)])
        return
    yield from _miss_rate(totals, tables)
    # An outage would otherwise read as misses that nothing could avoid.
    local_only = sum(row["misses"] for row in tables["classes"].records() if row["class"] == LOCAL_ONLY)
    if local_only > totals["misses"] * DEFAULT_MAX_LOCAL_ONLY:
        text = "{} of the misses never asked the remote cache."
        yield Sentence(text, [(local_only, COUNT)])


def _miss_rate(totals: Mapping[str, Any], tables: Tables) -> Iterator[Sentence]:
    avoidable, time = totals["avoidable_misses"], totals["avoidable_time_ms"]
    text, values = "{} of {} lookups missed; ", [(totals["miss_rate"], RATIO), (totals["lookups"], COUNT)]
    if not avoidable:
        yield Sentence(f"{text}none of the {{}} misses is known to be avoidable.", [*values, (totals["misses"], COUNT)])
        return
    text += "{} of the {} misses could have been hits, worth "
    values += [(avoidable, COUNT), (totals["misses"], COUNT)]
    if time is None:
        yield Sentence(f"{text}an unknown time.", values)
    else:
        least = "at least " if totals["avoidable_coverage"] < 1 else ""
        yield Sentence(f"{text}{least}{{}} of task time.", [*values, (time, MS)])
    causes = {one.name: one.cause for one in CLASSES}
    classes = [row for row in tables["classes"].records() if row["avoidable"]]
    top = max(classes, key=lambda row: (row["time_lost_ms"] or 0, row["misses"]))
    text = "Most of these are {}; likely: {}." if top["misses"] * 2 > avoidable else "The costliest are {}; likely: {}."
    yield Sentence(text, [(top["class"], TEXT), (causes[top["class"]], TEXT)])


def _retention(tables: Tables) -> Iterator[Sentence]:
    yield from _absolute_retention(tables)
    yield from _sliding_retention(tables)


def _absolute_retention(tables: Tables) -> Iterator[Sentence]:
    curve = [row for row in tables["curve"].records() if row["policy"] == "absolute"]
    steps = [row for row in tables["steps"].records() if row["policy"] == "absolute"]
    if not steps:
        yield Sentence("No lookup asked the remote cache, so the log does not show how long to keep artifacts.")
        return
    # The curve has the present retention, and all others in the order of the steps, which begin at it: `7 d → 14 d`.
    present = _present_days(tables)
    changes = dict(zip((row["days"] for row in curve if row["days"] != present), steps, strict=True))
    longer = next((days for days in sorted(changes) if days >= present * LONGER), None)
    shorter = next((days for days in sorted(changes, reverse=True) if days <= present * SHORTER), None)
    gain = changes[longer]["hit_rate_change"] if longer else 0
    loss = -changes[shorter]["hit_rate_change"] if shorter else 1
    now = (_days(present), TEXT)
    if longer and changes[longer]["extrapolated"]:
        yield Sentence("The log is too short to tell whether longer than {} pays.", [now])
    elif longer and gain >= MIN_GAIN:
        text = "Keep artifacts longer, counted from upload: {} gain {} over {}, with {} the storage."
        factor = (changes[longer]["artifacts_factor"], FACTOR)
        yield Sentence(text, [(_days(longer), TEXT), (gain, POINTS), now, factor])
        return
    if shorter and loss < MIN_GAIN:
        factor = (changes[shorter]["artifacts_factor"], FACTOR)
        yield Sentence("Keep {}: {} less than {}, with {} the storage.", [
            (_days(shorter), TEXT), (abs(loss), POINTS), now, factor,
        ])  # fmt: skip
    elif shorter and longer and not changes[longer]["extrapolated"]:
        yield Sentence("{} are about right: {} would lose {}, and {} gain {}.", [
            now, (_days(shorter), TEXT), (loss, POINTS), (_days(longer), TEXT), (gain, POINTS),
        ])  # fmt: skip


def _sliding_retention(tables: Tables) -> Iterator[Sentence]:
    """Yield the shortest retention since the last use that hits as often as the present one since the upload."""
    curve = tables["curve"].records()
    if not curve:
        return
    present = _present_days(tables)
    (now,) = (row for row in curve if (row["policy"], row["days"]) == ("absolute", present))
    sliding = [row for row in curve if row["policy"] == "sliding" and row["remote_hit_rate"] >= now["remote_hit_rate"]]
    shortest = min(sliding, key=lambda row: row["days"], default=now)
    is_known = now["hits"] and not now["extrapolated"] and now["artifacts"] is not None
    if is_known and shortest["days"] < present and shortest["artifacts"] < now["artifacts"]:
        text = "Where each use renews an artifact, keeping it for {} hits as often ({}), with {} artifacts, not {}."
        values = [(_days(shortest["days"]), TEXT), (shortest["remote_hit_rate"], RATIO)]
        yield Sentence(text, [*values, (shortest["artifacts"], COUNT), (now["artifacts"], COUNT)])


def _present_days(tables: Tables) -> float:
    """Return the present retention, from which all steps begin; their text has it rounded."""
    base = tables["steps"].records()[0]["step"].partition(" d")[0]
    days: list[float] = [row["days"] for row in tables["curve"].records()]
    return next(one for one in days if f"{one:g}" == base)


def _days(days: float) -> str:
    return f"{days:g} day" + "s" * (days != 1)


def _compare(tables: Tables) -> Iterator[Sentence]:
    # Imported here: only this question needs them, and they would delay the answers of the others.
    from analyzer.questions.compare import FELL, NOT_SIGNIFICANT, ROSE  # noqa: PLC0415
    from analyzer.questions.page.changes import cause_sentences  # noqa: PLC0415

    (change,), (a, b) = tables["change"].records(), tables["sides"].records()
    difference = change["hit_rate_change"]
    if difference is None:
        yield Sentence("One side has no lookups, so there is nothing to compare.")
        return
    rates = [(a["hit_rate"], RATIO), (b["hit_rate"], RATIO)]
    if change["change"] in (FELL, ROSE):
        text = f"The hit rate {change['change']} by {{}}, from {{}} to {{}}: more than chance explains."
        yield Sentence(text, [(abs(difference), POINTS), *rates])
    elif change["change"] == NOT_SIGNIFICANT:
        yield Sentence("The hit rate went from {} to {}, which chance may explain.", rates)
    else:
        yield Sentence("The hit rate went from {} to {}; there are too few sessions to tell from chance.", rates)
    yield from cause_sentences(change["change"], tables)


def _check(tables: Tables) -> Iterator[Sentence]:
    from analyzer.questions.check import FAILED, NOT_ENOUGH_DATA  # noqa: PLC0415

    rows = tables["checks"].records()
    failed = [row["check"] for row in rows if row["verdict"] == FAILED]
    unknown = [row["check"] for row in rows if row["verdict"] == NOT_ENOUGH_DATA]
    if not rows:
        yield Sentence("No threshold was given, so nothing was checked.")
    if failed:
        yield Sentence(
            "{} of {} checks failed: {}.", [(len(failed), COUNT), (len(rows), COUNT), (_names(failed), TEXT)]
        )
    elif len(rows) > len(unknown):
        yield Sentence("Passed: {} of {} checks.", [(len(rows) - len(unknown), COUNT), (len(rows), COUNT)])
    if unknown:
        yield Sentence("Not enough data to judge {}.", [(_names(unknown), TEXT)])


def _doctor(tables: Tables) -> Iterator[Sentence]:
    rows = tables["findings"].records()
    problems = list(dict.fromkeys(row["finding"] for row in rows if row["severity"] == "problem"))
    notices = list(dict.fromkeys(row["finding"] for row in rows if row["severity"] != "problem"))
    if problems:
        text = "Other answers are wrong, or hits are lost, because of: {}."
        yield Sentence(text, [(_names(problems), TEXT)])
    elif notices:
        yield Sentence(
            "Nothing found that makes answers wrong. To know when reading them: {}.", [(_names(notices), TEXT)]
        )


def _sessions(tables: Tables) -> Iterator[Sentence]:
    percentiles = {row["percentile"]: row for row in tables["percentiles"].records()}
    if not percentiles or percentiles["p50"]["hit_rate"] is None:
        yield Sentence("There are no sessions.")
        return
    half, quarter = ((percentiles[name]["hit_rate"], RATIO) for name in ("p50", "p25"))
    if half[0] < 1:
        yield Sentence("Half of the sessions have a hit rate of at most {}, a quarter of at most {}.", [half, quarter])
    else:
        yield Sentence(
            "At least half of the sessions had only hits; a quarter has a hit rate of at most {}.", [quarter]
        )
    for row in tables["time_lost"].records()[:1]:
        text = "The misses of the costliest one, {}, took {}."
        yield Sentence(text, [(row["session"], TEXT), (row["time_lost_ms"], MS)])


def _session(tables: Tables) -> Iterator[Sentence]:
    found = tables["session"].records()
    if not found:
        yield Sentence("The filters leave no lookup of this session.")
        return
    (row,) = found
    text, values = "{} of {} lookups were hits", [(row["hit_rate"], RATIO), (row["lookups"], COUNT)]
    if row["hits"] == row["lookups"]:
        yield Sentence("All {} lookups were hits.", [(row["lookups"], COUNT)])
    elif row["time_lost_ms"] is None:
        yield Sentence(f"{text}; how long the tasks of the misses took is unknown.", values)
    else:
        least = "at least " if row["imputed_coverage"] < 1 else ""
        yield Sentence(f"{text}; the tasks of the misses took {least}{{}}.", [*values, (row["time_lost_ms"], MS)])


def _causes(tables: Tables) -> Iterator[Sentence]:
    (totals,) = tables["totals"].records()
    if not totals["misses"]:
        yield Sentence("No miss of a run with a summary is selected.")
        return
    if not totals["changed"]:
        yield Sentence("None of {} misses of runs with a summary has a changed hash.", [(totals["misses"], COUNT)])
        return
    values = [(totals["changed"], COUNT), (totals["misses"], COUNT)]
    yield Sentence("{} of {} misses have a changed hash.", values)
    top = tables["causes"].records()[0]
    if top["time_lost_ms"] and totals["time_lost_ms"]:
        cost = [(top["time_lost_ms"] / totals["time_lost_ms"], RATIO), (top["time_lost_ms"], MS)]
        if top["kind"] == "unknown":
            yield Sentence("For {} of their task time, {}, no summary shows what changed.", cost)
        else:
            yield Sentence("The costliest cause is {}: {} of their task time, {}.", [(top["cause"], TEXT), *cost])
    for row in tables["suspects"].records()[:1]:
        text = "A suspect: {} changed the hash of {} tasks in {} of their runs."
        yield Sentence(text, [(row["cause"], TEXT), (row["tasks"], COUNT), (row["changed_share"], RATIO)])


def _run(tables: Tables) -> Iterator[Sentence]:
    (run,) = tables["run"].records()
    causes = [row["cause"] for row in tables["causes"].records()]
    values = [(run["changed"], COUNT), (run["tasks"], COUNT)]
    if run["new_tasks"] == run["tasks"]:
        yield Sentence("There is nothing to compare with: no earlier run lists any of the {} tasks.", values[1:])
        return
    if not causes:
        yield Sentence("None of {} tasks has another hash than in its baseline.", values[1:])
        return
    more = f" and {len(causes) - MAX_NAMES:,} more" if len(causes) > MAX_NAMES else ""
    text = f"{{}} of {{}} tasks have a changed hash. What changed in the end: {{}}{more}."
    yield Sentence(text, [*values, (", ".join(causes[:MAX_NAMES]), TEXT)])


MAX_NAMES = 5

VERDICTS: dict[str, Callable[[Tables], Iterator[Sentence]]] = {
    "stats": _stats, "misses": _misses, "retention": _retention, "compare": _compare, "check": _check,
    "doctor": _doctor, "sessions": _sessions, "session": _session, "causes": _causes, "run": _run,
}  # fmt: skip


def _names(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
