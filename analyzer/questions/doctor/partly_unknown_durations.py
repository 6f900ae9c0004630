"""Teams some of whose hits have no duration."""

from analyzer.questions.doctor.finding import Finding
from analyzer.questions.doctor.unknown_durations import HITS

FINDING = Finding(
    name="partly_unknown_durations",
    severity="notice",
    definition="hits without a duration, of a team that has others with one, or too few remote hits to tell",
    sql=f"SELECT unknown, whose, remote_unknown, remote, local_unknown, local FROM ({HITS}) WHERE unknown > 0"
    " AND NOT never ORDER BY unknown DESC, whose",
    what="{1}: {2:,} of {3:,} remote hits and {4:,} of {5:,} local hits have no duration",
    remedy="see since when and on which CI: analyzer stats --by day,ci shows the duration coverage. A server was"
    " changed, or one of several does not return x-artifact-duration",
)
