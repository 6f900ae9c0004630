"""`analyzer check`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli import console
from analyzer.cli.console import Exit, exit_help
from analyzer.cli.files import atomic_write
from analyzer.cli.options import Rate, Seconds
from analyzer.cli.output import write
from analyzer.cli.question import QuestionArguments, question_command
from analyzer.cli.source import exit_code
from analyzer.errors import unreadable_error
from analyzer.questions.options import DEFAULT_MAX_DROP, DEFAULT_MAX_LOCAL_ONLY, DEFAULT_MIN_LOOKUPS, CheckOptions

if TYPE_CHECKING:
    from analyzer.archive.open_log import OpenLog
    from analyzer.archive.selection import Selection
    from analyzer.questions.baseline import Baseline
    from analyzer.questions.report import Report

FILE = click.Path(path_type=Path, dir_okay=False)


@question_command(
    "check",
    click.option("--min-hit-rate", type=Rate(), help="The lowest acceptable hit rate, from 0 to 1."),
    click.option("--min-remote-hit-rate", type=Rate(), help="The lowest acceptable remote hit rate."),
    click.option(
        "--max-local-only", type=Rate(),
        help="The highest acceptable share of misses that never asked the remote cache.  [default: "
             f"{DEFAULT_MAX_LOCAL_ONLY}, with --min-remote-hit-rate]",
    ),
    click.option(
        "--max-drop", type=Rate(),
        help="How far the hit rate of the last 7 days may be below the 7 days before; with --baseline, how far the hit"
             f" rate may be below the baseline's.  [default: {DEFAULT_MAX_DROP}, with --baseline]",
    ),
    click.option("--min-time-saved", type=Seconds(), help="The least acceptable time saved: 30m, 10h, 2d."),
    click.option(
        "--min-lookups", type=int, default=DEFAULT_MIN_LOOKUPS, show_default=True,
        help="With fewer lookups nothing fails: not enough data. Of --max-local-only, with fewer misses.",
    ),
    click.option(
        "--baseline", type=FILE,
        help="Compare with this file of --save-baseline, and fail if the hit rate fell by more than --max-drop.",
    ),
    click.option(
        "--save-baseline", type=FILE, help="Save the measures to this JSON file for --baseline, unless a check fails."
    ),
    exits=exit_help(Exit.THRESHOLD),
    has_costs=False,
)  # fmt: skip
def command(
    arguments: QuestionArguments, min_hit_rate: float | None, min_remote_hit_rate: float | None,
    max_local_only: float | None, max_drop: float | None, min_time_saved: float | None, min_lookups: int,
    baseline: Path | None, save_baseline: Path | None,
) -> int:  # fmt: skip
    """Fail with exit code 5 where a threshold is missed, for use in CI.

    \b
    Examples:
      analyzer check sample_data --min-hit-rate 0.8
      analyzer check sample_data --max-drop 0.05 --team platform
      analyzer check sample_data/acme/runs.ndjson.zst --min-hit-rate 0.6 --min-lookups 30
      analyzer check sample_data --until 2026-11-01 --save-baseline october.json
      analyzer check sample_data --since 2026-11-01 --baseline october.json
    """
    from analyzer.archive.open_log import Needs  # noqa: PLC0415
    from analyzer.questions.check import check  # noqa: PLC0415

    min_time_saved_ms = None if min_time_saved is None else min_time_saved * 1000
    options = CheckOptions(
        min_hit_rate, min_remote_hit_rate, max_drop, min_time_saved_ms, max_local_only, min_lookups,
        _read_baseline(baseline), saves_baseline=save_baseline is not None,
    )  # fmt: skip
    target = arguments.output.target(arguments.inputs, *([baseline] if baseline else []), also=save_baseline)
    needs = Needs(selection=None if options.compares_weeks else arguments.selection)  # weeks: also the one before
    with arguments.open_logs(arguments.inputs, needs=needs) as (log,):
        report = check(log, arguments.selection, options)
        write(report, target)
        missed = _report_verdicts(report)
        code = exit_code(log.load_result) or missed
        if save_baseline:
            _save_baseline(save_baseline, log, arguments.selection, code)
        return code


def _read_baseline(path: Path | None) -> "Baseline | None":
    from analyzer.questions.baseline import parse_baseline  # noqa: PLC0415

    if path is None:
        return None
    try:
        return parse_baseline(str(path), path.read_bytes())
    except OSError as error:
        raise unreadable_error(str(path), error) from None


def _save_baseline(path: Path, log: "OpenLog", selection: "Selection", code: int) -> None:
    """Save the measures, unless the command fails: a baseline of them would hide the failure from the next check."""
    from analyzer.questions.baseline import measure_baseline  # noqa: PLC0415

    if code != Exit.OK:
        console.note(f"{path}: no baseline was saved, because the command failed")
        return
    document = measure_baseline(log, selection)
    with atomic_write(path) as file:
        file.write(json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")
    console.note(f"{path}: saved as a baseline of {document['lookups']:,} lookups")


def _report_verdicts(report: "Report") -> Exit:
    """Write one line on stderr for each threshold that is missed or cannot be judged; return the exit code."""
    from analyzer.questions.check import FAILED, LOCAL_ONLY, OK  # noqa: PLC0415
    from analyzer.render.values import format_value  # noqa: PLC0415

    code = Exit.OK
    for name, verdict, value, threshold, lookups, unit in report.primary.rows:
        value_text, threshold_text = format_value(value, unit), format_value(threshold, unit)
        if value_text == threshold_text and value != threshold:  # equal only as rounded
            value_text, threshold_text = f"{value:.6g}", f"{threshold:.6g}"
        is_local_only = name == LOCAL_ONLY
        text = (
            f"{name.replace('_', ' ')} {value_text}, wanted at {'most' if is_local_only else 'least'} {threshold_text}"
        )
        if verdict == FAILED:
            code = Exit.THRESHOLD
            why = ": these misses never asked the remote cache; `analyzer doctor` explains" if is_local_only else ""
            console.error(f"{text}{why}")
        elif verdict != OK:
            console.note(f"{text}: not enough data ({lookups:,} {'misses' if is_local_only else 'lookups'})")
    return code
