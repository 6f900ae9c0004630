"""How long artifacts should be kept."""

from analyzer.metrics.curve import retention
from analyzer.report.page.question import Parts, Subject
from analyzer.section import Chart, Section, Words
from analyzer.table import FACTOR, MS_CHANGE, RATIO_CHANGE


def keeping(subject: Subject) -> Parts:
    """Give the section of the retention curve, where lookups asked the remote cache."""
    days = subject.question.retention_days
    observed, curve, steps = retention(subject.asked.selected, days)
    if not observed.rows:
        return
    told = [Words("Every miss is taken to be uploaded. What is longer than half the log can be shown only in part.")]
    longer = [step for step in steps.rows if step[0] == "absolute" and _days(step[1]) >= 2 * days]
    if longer:
        _, name, rate, saved_ms, artifacts, _ = longer[0]
        text = "{}: {}, {} saved a week, {} the artifacts (counted from the upload)."
        told.insert(0, Words(text, [(name, ""), (rate, RATIO_CHANGE), (saved_ms, MS_CHANGE), (artifacts, FACTOR)]))
    what = "Lines over the days that artifacts are kept, from upload and from last use: the remote hit rate."
    chart = Chart("line", "Remote hit rate by days kept", what, "days", ("remote_hit_rate",), "policy", "extrapolated")
    yield Section("How long to keep artifacts", told, curve.name, [chart]), curve


def _days(step: str) -> float:
    return float(step.rpartition("→")[2].removesuffix("d"))
