"""The findings, in the order in which they are told. A new one is a file beside this and a line here."""

from analyzer.questions.doctor import (
    clock_steps,
    cut_files,
    cut_sessions,
    gaps,
    impossible_times,
    lost_events,
    never_remote,
    outages,
    overlapping_files,
    partly_unknown_durations,
    rejects,
    retried_batches,
    unknown_durations,
    unknown_keys,
    unmatched_runs,
    unmatched_sessions,
    untimed_events,
)

FINDINGS = (
    outages.FINDING,
    never_remote.FINDING,
    unknown_durations.FINDING,
    lost_events.FINDING,
    cut_files.FINDING,
    overlapping_files.FINDING,
    rejects.FINDING,
    impossible_times.FINDING,
    partly_unknown_durations.FINDING,
    cut_sessions.FINDING,
    retried_batches.FINDING,
    untimed_events.FINDING,
    clock_steps.FINDING,
    gaps.FINDING,
    unknown_keys.FINDING,
    unmatched_runs.FINDING,
    unmatched_sessions.FINDING,
)
"""Problems come before notices."""
