"""The options of `analyzer replay`, and where journal and settings are found in this process's environment."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.options import Seconds, option_group, titled_option
from analyzer.errors import UsageError
from analyzer.readers.source import is_archive
from analyzer.replayer.options import DEFAULTS, ON_UNCERTAIN, ReplayOptions

if TYPE_CHECKING:
    from analyzer.replayer.settings import Settings

DEFAULT_JOURNAL = Path("cache-replay.sqlite")
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class ReplayArguments:
    """The options of the command line: the validated ones that Python shares, and files and server."""

    api: str | None
    token_file: Path | None
    ca_file: Path | None
    dead_letters: Path | None
    journal: Path | None
    options: ReplayOptions


OWN_NAMES = tuple(field.name for field in fields(ReplayArguments))[:-1]
SHARED_NAMES = tuple(field.name for field in fields(ReplayOptions))


def _gather(**values: Any) -> ReplayArguments:
    own = {name: values.pop(name) for name in OWN_NAMES}
    return ReplayArguments(**own, options=ReplayOptions(**values))


_destination, _pace, _failures = titled_option("Destination"), titled_option("Pace"), titled_option("Failures")
_COUNT: dict[str, Any] = {"type": int, "metavar": "N"}


def _default(name: str) -> dict[str, Any]:
    return {"default": getattr(DEFAULTS, name), "show_default": True}


_OPTIONS = (
    click.option("--execute", is_flag=True, help="Send the events. Without it, only the plan is shown."),
    click.option("--limit", **_COUNT, help="Send only the first N events of the selection."),
    click.option("--keep-repeats", is_flag=True, help="Send an event as often as a log has it, not once."),
    _destination("--api", metavar="URL", help="The server. [env: TURBO_API; default: https://api.vercel.com]"),
    _destination("--token-file", type=FILE, help="A file with the token alone. [env: TURBO_TOKEN]"),
    _destination("--ca-file", type=FILE, help="Certificate of a private authority, PEM."),
    _destination("--team-id", metavar="ID", help="Send to the team with this id, whatever the log says."),
    _destination("--slug", metavar="SLUG", help="Send to the team with this slug, whatever the log says."),
    _destination("--as-ci", metavar="NAME", help="Send as from this CI, whatever the log says."),
    _destination("--as-interactive/--as-no-interactive", default=None, help="Send as (not) interactive."),
    _pace("--chunk-size", **_COUNT, **_default("chunk_size"), help="Maximum number of events per request."),
    _pace("--max-bytes", **_COUNT, **_default("max_bytes"), help="Maximum size of a request body."),
    _pace(
        "--requests-per-minute", type=float, metavar="N", **_default("requests_per_minute"),
        help="Rate of requests; 0 means no limit.",
    ),
    _pace("--concurrency", **_COUNT, **_default("concurrency"), help="Number of simultaneous requests."),
    _pace("--max-requests", **_COUNT, help="Stop after N requests; run again to go on."),
    _pace("--max-duration", type=Seconds(), help="Stop after 30s, 5m, 2h (plain numbers are seconds)."),
    _failures(
        "--retries", **_COUNT, **_default("retries"),
        help="Attempts after the first, for events that were surely not recorded.",
    ),
    _failures(
        "--retry-for", type=Seconds(), default=DEFAULTS.retry_for,
        help=f"Maximum time for these attempts.  [default: {DEFAULTS.retry_for / 60:g}m]",
    ),
    _failures(
        "--on-uncertain", type=click.Choice(ON_UNCERTAIN), **_default("on_uncertain"),
        help="Hold events that may have been recorded, or resend them, which may deliver them twice.",
    ),
    _failures(
        "--max-uncertain", **_COUNT, **_default("max_uncertain"), help="Stop after N ambiguous answers in a row."
    ),
    click.option("--dead-letters", type=FILE, help="NDJSON file for refused events. [default: beside the journal]"),
    click.option("--journal", type=FILE, help="Record of what was sent. [default: beside the archive, else here]"),
    _destination("--preflight/--no-preflight", default=True, help="Ask the server first whether caching is enabled."),
)  # fmt: skip

replay_options = option_group("arguments", _OPTIONS, (*OWN_NAMES, *SHARED_NAMES), _gather)
"""Adds the options; the command gets one argument, `arguments`."""


def default_journal(sources: tuple[str, ...]) -> Path:
    """Return the journal's default path: beside the archive, symbolic links resolved, else in this directory."""
    archive = next((Path(source) for source in sources if is_archive(Path(source))), None)
    if not archive:
        return DEFAULT_JOURNAL
    real = archive.resolve()
    return (archive if real == archive.absolute() else real).with_suffix(".replay.sqlite")


def replay_settings(api: str | None, token_file: Path | None = None) -> "Settings":
    """Return the settings from the options, the process's environment and turbo's configuration files."""
    from platformdirs import user_config_path  # noqa: PLC0415

    from analyzer.replayer.settings import Environment, find_settings  # noqa: PLC0415

    user_directory = user_config_path("turborepo", appauthor=False, roaming=True)
    token = _read_token(token_file) if token_file else None
    return find_settings(api, token, Environment(os.environ, Path.cwd(), user_directory))


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"--token-file {path}: cannot be read ({reason})") from None
    if not token:
        raise UsageError(f"--token-file {path}: empty; it must hold the token alone")
    return token
