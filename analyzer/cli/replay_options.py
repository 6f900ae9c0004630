"""The options of `analyzer replay` beyond SOURCE, filters and output."""

from dataclasses import dataclass, fields
from pathlib import Path

import click

from analyzer.cli.options import Seconds, option_group, titled_option
from analyzer.replayer.options import CHUNK_EVENTS, DEFAULT_POLICY, MAX_BYTES

FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said of a replay beyond SOURCE, filters and output."""

    execute: bool
    limit: int | None
    keep_repeats: bool
    api: str | None
    token_file: Path | None
    ca_file: Path | None
    team_id: str | None
    slug: str | None
    as_ci: str | None
    as_interactive: bool | None
    chunk_size: int
    max_bytes: int
    requests_per_minute: float
    concurrency: int
    max_requests: int | None
    max_duration: float | None
    retries: int
    retry_for: float
    on_uncertain: str
    max_uncertain: int
    dead_letters: Path | None
    journal: Path | None
    preflight: bool


_destination, _pace, _failures = titled_option("Destination"), titled_option("Pace"), titled_option("Failures")
_OPTIONS = (
    click.option("--execute", is_flag=True, help="Send. Without it nothing is sent: the plan is shown."),
    click.option("--limit", type=int, metavar="N", help="Only the first so many events of the selection."),
    click.option("--keep-repeats", is_flag=True, help="Send an event as often as a log has it; else once."),
    _destination("--api", metavar="URL", help="The server. [env: TURBO_API; default: https://api.vercel.com]"),
    _destination("--token-file", type=FILE, help="The token, alone in a file. [env: TURBO_TOKEN]"),
    _destination("--ca-file", type=FILE, help="Certificate of a private authority, PEM."),
    _destination("--team-id", metavar="ID", help="Send to this team, whatever the log says."),
    _destination("--slug", metavar="SLUG", help="The same, by the team's slug."),
    _destination("--as-ci", metavar="NAME", help="Send as from this CI, whatever the log says."),
    _destination("--as-interactive/--as-no-interactive", default=None, help="Send as (not) interactive."),
    _pace(
        "--chunk-size",
        type=int,
        metavar="N",
        default=CHUNK_EVENTS,
        show_default=True,
        help="Most events a request.",
    ),
    _pace("--max-bytes", type=int, metavar="N", default=MAX_BYTES, show_default=True, help="Most bytes a body."),
    _pace(
        "--requests-per-minute",
        type=click.FloatRange(min=0, max=10**6),
        metavar="N",
        default=DEFAULT_POLICY.requests_per_minute,
        show_default=True,
        help="How often a request starts; 0 is no limit.",
    ),
    _pace(
        "--concurrency",
        type=int,
        metavar="N",
        default=DEFAULT_POLICY.concurrency,
        show_default=True,
        help="Requests at a time.",
    ),
    _pace("--max-requests", type=int, metavar="N", help="Stop after so many; run again to go on."),
    _pace(
        "--max-duration", type=Seconds(), help="Stop after 30s, 5m, 2h (plain numbers are seconds); run again to go on."
    ),
    _failures(
        "--retries",
        type=click.IntRange(min=0),
        metavar="N",
        default=DEFAULT_POLICY.retries,
        show_default=True,
        help="Attempts after the first, where events were surely not taken.",
    ),
    _failures(
        "--retry-for",
        type=Seconds(),
        default=DEFAULT_POLICY.retry_seconds,
        help=f"Longest time for these attempts.  [default: {DEFAULT_POLICY.retry_seconds / 60:g}m]",
    ),
    _failures(
        "--on-uncertain",
        type=click.Choice(["hold", "resend"]),
        default="hold",
        show_default=True,
        help="What to do where it is not known whether events were taken; resend may deliver them twice.",
    ),
    _failures(
        "--max-uncertain",
        type=int,
        metavar="N",
        default=DEFAULT_POLICY.max_uncertain,
        show_default=True,
        help="Stop after so many in a row.",
    ),
    click.option(
        "--dead-letters",
        type=FILE,
        help="Append events that the server refuses to this NDJSON file. [default: beside the journal]",
    ),
    click.option(
        "--journal", type=FILE, help="The file that knows what was sent where. [default: beside the archive, else here]"
    ),
    _destination(
        "--preflight/--no-preflight",
        default=True,
        help="Ask the server first whether caching is on; asked unless forbidden.",
    ),
)


replay_options = option_group("options", _OPTIONS, [field.name for field in fields(Options)], Options)
"""Adds the options; the command gets one argument `options`."""
