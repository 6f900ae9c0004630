"""Declares the options of a replay, their defaults and bounds, for the command line and the Python API."""

from collections.abc import Mapping
from dataclasses import dataclass

from analyzer.errors import Option, UsageError
from analyzer.event import MAX_CI_LENGTH
from analyzer.validation import require_choice, require_count, require_number

MAX_CONCURRENCY = 64  # each concurrent request has a thread
MIN_RATE, MAX_RATE = 0.01, 1e6
ON_UNCERTAIN = ("hold", "resend")


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The options that decide which events a replay sends, with which context, in what chunks, and when it stops.

    `team_id`, `slug`, `as_ci` and `as_interactive` replace what the log says; None keeps it. `retry_for` and
    `max_duration` are seconds. A rate of 0 and a limit of None mean no limit.
    """

    execute: bool = False
    limit: int | None = None
    keep_repeats: bool = False
    team_id: str | None = None
    slug: str | None = None
    as_ci: str | None = None
    as_interactive: bool | None = None
    chunk_size: int = 100
    max_bytes: int = 1 << 20
    requests_per_minute: float = 30
    concurrency: int = 1
    retries: int = 8
    retry_for: float = 300
    max_requests: int | None = None
    max_duration: float | None = None
    max_uncertain: int = 3
    on_uncertain: str = "hold"
    preflight: bool = True

    def __post_init__(self) -> None:
        require_request_text({"as_ci": self.as_ci, "slug": self.slug, "team_id": self.team_id})
        for name in ("limit", "chunk_size", "max_bytes", "max_requests", "max_uncertain"):
            require_count(name, getattr(self, name))
        require_count("concurrency", self.concurrency, maximum=MAX_CONCURRENCY)
        require_count("retries", self.retries, minimum=0)
        for name in ("retry_for", "max_duration"):
            require_number(name, getattr(self, name))
        require_number("requests_per_minute", self.requests_per_minute, maximum=MAX_RATE)
        if 0 < self.requests_per_minute < MIN_RATE:
            problem = f": a rate of at least {MIN_RATE} is expected, or 0 for no limit"
            raise UsageError(Option("requests_per_minute", self.requests_per_minute), problem)
        require_choice("on_uncertain", self.on_uncertain, ON_UNCERTAIN)

    @property
    def resend(self) -> bool:
        """Whether uncertain events are sent again, at the risk of delivering them twice."""
        return self.on_uncertain == "resend"


def require_request_text(values: Mapping[str, str | None]) -> None:
    """Raise UsageError if a team or CI, by option name, is not valid in the query or headers of a request."""
    for name, value in values.items():
        if value is not None and (not value or value != value.strip() or not value.isprintable()):
            raise UsageError(Option(name, value), ": empty, or has characters that are not valid in a request")
        if name == "as_ci" and len(value or "") > MAX_CI_LENGTH:
            raise UsageError(Option(name, value), f": longer than {MAX_CI_LENGTH} characters, which the API refuses")


DEFAULTS = ReplayOptions()
