"""What a page is made of besides tables: sentences, numbers that answer at once, charts, and sections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

FEW_LOOKUPS = 30
"""The rate of fewer lookups says little: a bar of them is faint."""


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence with a `{}` for each value; who shows it writes the values, each in its unit."""

    text: str
    values: Sequence[tuple[Any, str]] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """A number that answers a question: what it is, its value and unit, and what that means in a sentence."""

    label: str
    value: Any
    unit: str
    meaning: Words


@dataclass(frozen=True, slots=True)
class Chart:
    """How a table is drawn, by the names of its columns.

    `stack`: bars over time, `x` the bucket, a part of each for each column of `y`; faint where `size` is small. `line`:
    `y` over `x`, a line for each value of `series`, its points hollow where `mark` is set, with a rule `at` a value of
    `x`. `rank`: a bar for each value of `x`, labelled with its value, of another colour where it has the `mark`, which
    is the name of a flag. `points`: `y` against `x`, each as large as `size`, those with a `mark` named by it. `heat`:
    a cell for each `x` and `y`, coloured by `value`.
    """

    kind: Literal["stack", "line", "rank", "points", "heat"]
    title: str
    description: str
    x: str
    y: Sequence[str]
    series: str | None = None
    mark: str | None = None
    size: str | None = None
    value: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A question of a page: its heading, the answer in words, the name of the table that has it, and its charts."""

    heading: str
    words: Sequence[Words]
    table: str
    charts: Sequence[Chart] = ()
