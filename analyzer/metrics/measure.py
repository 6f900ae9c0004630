"""What a measure is: one number over a set of lookups, with everything that is to be said about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: `sql` is an aggregate over rows of lookups (see `selection.LOOKUPS` for their columns).

    A ratio whose denominator is zero is null: there is no such rate. A `detail` is not shown by group to people.
    With `both_sides` it compares LOCAL with REMOTE events: where only one of them was chosen it cannot be known.
    """

    name: str
    unit: str
    definition: str
    sql: str
    caveat: str = ""
    detail: bool = False
    both_sides: bool = False
