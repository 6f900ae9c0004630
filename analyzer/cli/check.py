"""`analyzer check`."""

from typing import TYPE_CHECKING

import click

from analyzer.cli import say
from analyzer.cli.duration import Seconds
from analyzer.cli.exits import CHECK_HELP as EXITS
from analyzer.cli.exits import Exit
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.number import Rate
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection
    from analyzer.report.report import Report

RATE = Rate()


@click.command("check", cls=Command, epilog=f"{HELP} {EXITS}")
@source_options()
@click.option("--min-hit-rate", type=RATE, help="Least hit rate, from 0 to 1.")
@click.option("--min-remote-hit-rate", type=RATE, help="Least remote hit rate.")
@click.option("--max-drop", type=RATE, help="Most that the last 7 days' hit rate may be below that of the 7 before.")
@click.option("--min-time-saved", type=Seconds(), help="Least time saved: 30m, 10h, 2d.")
@click.option(
    "--min-lookups", type=click.IntRange(min=1), default=100, show_default=True,
    help="With fewer lookups (misses, where the remote cache was never asked) nothing fails: not enough data.",
)  # fmt: skip
@filter_options
@output_options
def command(
    inputs: SourceOptions, selection: "Selection", min_hit_rate: float | None, min_remote_hit_rate: float | None,
    max_drop: float | None, min_time_saved: float | None, min_lookups: int, output: OutputOptions,
) -> int:  # fmt: skip
    """Fail, with exit code 5, where a threshold is missed: for CI.

    \b
    Examples:
      analyzer check sample_data --min-hit-rate 0.8
      analyzer check sample_data --max-drop 0.05 --team platform
      analyzer check sample_data/runs --min-hit-rate 0.6 --min-lookups 30
    """
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.metrics.check import Thresholds  # noqa: PLC0415
    from analyzer.report.check import check  # noqa: PLC0415

    saved_ms = None if min_time_saved is None else min_time_saved * 1000
    wanted = Thresholds(min_hit_rate, min_remote_hit_rate, max_drop, saved_ms, min_lookups)
    if wanted == Thresholds(min_lookups=min_lookups):
        raise UsageError("nothing to check: --min-hit-rate, --min-remote-hit-rate, --max-drop or --min-time-saved")
    target = output.target(inputs)
    with open_source(inputs, progress(), Purpose(selection.view)) as opened:
        report = check(opened, selection, wanted)
        write(report, target)
        missed = _tell(report)
        return code_of(opened.intake) or missed


def _tell(report: "Report") -> Exit:
    """Say what was missed, a line each."""
    from analyzer.metrics.check import FAILED, OK  # noqa: PLC0415
    from analyzer.render.value import human  # noqa: PLC0415

    failed = False
    for name, verdict, found, wanted, lookups, unit in report.primary.rows:
        shown, limit = human(found, unit), human(wanted, unit)
        if shown == limit and found != wanted:
            shown, limit = f"{found:.6g}", f"{wanted:.6g}"
        words = f"{name.replace('_', ' ')} {shown}, wanted at least {limit}"
        unasked = name == "remote_hit_rate" and found is None
        words += ": the remote cache was never asked" if unasked else ""
        counted = f"{lookups:,} {'misses' if unasked else 'lookups'}"
        if verdict == FAILED:
            failed = True
            say.error(f"{words}, by {counted}: analyzer doctor says more" if unasked else words)
        elif verdict != OK:
            say.note(f"{words}: not enough data, only {counted}")
    return Exit.THRESHOLD if failed else Exit.OK
