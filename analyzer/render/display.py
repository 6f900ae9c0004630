"""Choose and format what people see of a table: columns, titles, cells and notes.

Text, Markdown and HTML output share it; data formats write the table itself.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from analyzer.render.values import CELL_FORMATTERS, NO_VALUE, escape_controls
from analyzer.table import A_TO_B, BY_ROW, COUNT, COVERAGE, FLAG, HASH, MONEY, NAME, TEXT, Column, Table

# Text columns may be wrapped down to this width; numbers are never wrapped.
MIN_TEXT_CHARS = 12

KEY_SHARE = 0.4  # of the width, for the column that names the rows
MAX_OTHER_KEY_CHARS = 24  # for further ones: an hour with its offset, and the mark of a partial one

# The length of a hash that is displayed beside the name of its task.
SHORT_HASH_CHARS = 8

# Units without a column of their own: a flag marks its row, a task name stands beside its hash.
HIDDEN_UNITS = (FLAG, NAME)


@dataclass(frozen=True, slots=True)
class DisplayTable:
    """A table as people see it: a title for each column, formatted cells, and notes to print below the table."""

    columns: Sequence[Column]
    titles: Sequence[str]
    cells: Sequence[Sequence[str]]
    # The raw value of each cell, to sort by; of a transposed table the cells again.
    values: Sequence[Sequence[Any]]
    notes: Sequence[str]


def display_table(table: Table, width: int | None = None) -> DisplayTable:
    """Return what people see of a table on a terminal `width` characters wide; None is unlimited.

    An upright table is transposed. In other tables flags become an asterisk in the row's first cell, detail columns are
    left out, and so are the last measures that exceed the width; a note names these columns.
    """
    groups = _cell_groups(table.columns)
    hidden = {n for n, column in enumerate(table.columns) if column.detail or column.unit in HIDDEN_UNITS}
    indexes = [n for n in groups if table.is_list or n not in hidden]
    cells = _format_cells(table, {*indexes, *(n for n, column in enumerate(table.columns) if column.unit == NAME)})
    titles = [column.name if table.from_user_sql else column_title(column) for column in table.columns]
    titles = [escape_controls(title) for title in titles]
    notes: list[str] = []
    if not table.upright:
        _label_hashes(table.columns, cells)
        notes = _mark_flagged_rows(table, cells)
        widths = {n: min_column_width(table.columns[n], titles[n], [row[n] for row in cells]) for n in indexes}
        # What a row is about is worth more than the last measures.
        for n in takewhile(lambda n: table.columns[n].unit == TEXT, indexes if width else ()):
            longest = max((cell_width(row[n]) for row in cells), default=0)
            share = round((width or 0) * KEY_SHARE) if n == indexes[0] else MAX_OTHER_KEY_CHARS
            widths[n] = max(widths[n], min(longest, share))
        indexes = _fitting_indexes(table, widths, width)
    notes += _omission_note(table.columns, {n for index in indexes for n in groups[index]})
    if table.upright:
        return _transpose(titles, cells, indexes, notes)
    columns, titles = _pick(table.columns, indexes), _pick(titles, indexes)
    return DisplayTable(columns, titles, [_pick(row, indexes) for row in cells],
                        [_pick(row, indexes) for row in table.rows], notes)  # fmt: skip


def column_title(column: Column) -> str:
    """Return the name of a column in words, without the suffixes that are its unit.

    >>> column_title(Column("time_saved_ms", "ms", "")), column_title(Column("likely_causes", "", ""))
    ('time saved', 'likely causes')
    """
    name = column.name.removesuffix("_a") if column.read_with == A_TO_B else column.name
    return name.removesuffix("_ms").removesuffix("_at").replace("_", " ")


def _pick(items: Sequence[Any], indexes: Sequence[int]) -> list[Any]:
    return [items[index] for index in indexes]


def _format_cells(table: Table, indexes: Collection[int]) -> list[list[str]]:
    """Return a cell for each value, empty but for `indexes`; of columns that share a cell, the first has all values."""
    columns = table.columns
    # The unit of a value can be data too: a list of measures has a column `unit`.
    unit_index = next((n for n, column in enumerate(columns) if column.name == "unit"), 0)
    formats = [(index, *CELL_FORMATTERS[columns[index].read_with], columns[index].unit) for index in sorted(indexes)]
    cells = [[""] * len(columns) for _ in table.rows]
    for row, formatted in zip(table.rows, cells, strict=True):
        for index, count, formatter, unit in formats:
            values = row[index : index + count]
            formatted[index] = escape_controls(formatter(*values, row[unit_index] if unit == BY_ROW else unit))
    return cells


def _cell_groups(columns: Sequence[Column]) -> dict[int, range]:
    """Return the indexes of the columns that share a cell, by the first of them."""
    groups, index = {}, 0
    while index < len(columns):
        count, _ = CELL_FORMATTERS[columns[index].read_with]
        groups[index] = range(index, index + count)
        index += count
    return groups


def _label_hashes(columns: Sequence[Column], cells: Sequence[list[str]]) -> None:
    """Put the task name before its hash, where it is known: `web#build (43b7f843…)`."""
    units = [column.unit for column in columns]
    if NAME not in units:
        return
    hash_index, name_index = units.index(HASH), units.index(NAME)
    for row in cells:
        if row[name_index] != NO_VALUE:
            row[hash_index] = f"{row[name_index]} ({row[hash_index][:SHORT_HASH_CHARS]}…)"


def _mark_flagged_rows(table: Table, cells: Sequence[list[str]]) -> list[str]:
    """Append an asterisk to a cell of rows with a flag; return a note for each flag that is set.

    It is the first cell, or that of the column which the flag marks.
    """
    notes, names = [], [column.name for column in table.columns]
    for index, column in enumerate(table.columns):
        flagged = [row for row, values in zip(cells, table.rows, strict=True) if column.unit == FLAG and values[index]]
        notes += [f"* {column_title(column)}: {column.description}"] if flagged else []
        # A mark and one note take less width than a column for each flag.
        place = names.index(column.marks) if column.marks else 0
        for row in flagged:
            row[place] += " *"
    return notes


def _fitting_indexes(table: Table, min_widths: dict[int, int], width: int | None) -> list[int]:
    """Return the indexes of the columns that fit into the width.

    Measures are dropped from the right, up to the last text. What the user asked for never is: money, and the column to
    sort by.
    """
    columns, groups = table.columns, list(_kept_together(table.columns, list(min_widths)))
    asked = [group for group in groups if any(columns[n].name in table.sorted_by for n in group)]
    asked += [group for group in groups if any(columns[n].unit == MONEY for n in group)][:1]
    while width and table_width([min_widths[n] for group in groups for n in group]) > width:
        last_text = max(
            (place for place, group in enumerate(groups) if not all(columns[n].unit for n in group)), default=0
        )
        droppable = [group for group in groups[last_text + 1 :] if group not in asked]
        if not droppable:
            break
        groups.remove(droppable[-1])
    return [index for group in groups for index in group]


def _kept_together(columns: Sequence[Column], indexes: Sequence[int]) -> Iterator[list[int]]:
    """Yield columns that are dropped together: a time known in part would look complete without its coverage."""
    group = list[int]()
    for index in indexes:
        if columns[index].read_with != COVERAGE and not (group and columns[index].unit == MONEY):
            if group:
                yield group
            group = []
        group.append(index)
    if group:
        yield group


def _omission_note(columns: Sequence[Column], displayed: set[int]) -> list[str]:
    names = [one.name for n, one in enumerate(columns) if n not in displayed and one.unit not in HIDDEN_UNITS]
    return [f"not shown: {', '.join(map(escape_controls, names))}; the JSON format has all columns"] if names else []


def _transpose(
    titles: Sequence[str], cells: Sequence[Sequence[str]], indexes: list[int], notes: Sequence[str]
) -> DisplayTable:
    """Return a table with a row for each measure; of several rows, the first cell becomes the title of its column."""
    # Without rows the measures are still listed, each with a dash.
    rows = cells or [[NO_VALUE] * len(titles)]
    columns, headings = [Column("measure", TEXT, ""), Column("value", COUNT, "")], ["measure", "value"]
    if len(rows) > 1:
        label, *indexes = indexes
        columns[1:] = [Column(row[label], BY_ROW, "") for row in rows]
        headings[1:] = [row[label] for row in rows]
    transposed = [[titles[n], *(row[n] for row in rows)] for n in indexes]
    return DisplayTable(columns, headings, transposed, transposed, notes)


def min_column_width(column: Column, title: str, cells: Sequence[str]) -> int:
    """Return the width below which a column must not be wrapped: its longest cell or, of text, a part of it."""
    longest_word = max(map(cell_width, title.split()), default=0)
    if column.unit == BY_ROW:  # of a transposed table: the title is a cell, with words of any length
        longest_word = min(longest_word, MIN_TEXT_CHARS)
    longest_cell = max(map(cell_width, cells), default=0)
    return max(longest_word, longest_cell if column.unit else min(longest_cell, MIN_TEXT_CHARS))


def table_width(column_widths: Sequence[int]) -> int:
    """Return the width of a table with one space at its left and three between columns."""
    return sum(column_widths) + 3 * len(column_widths) - 1


def cell_width(text: str) -> int:
    """Return how many terminal cells a text occupies.

    >>> cell_width("web"), cell_width("日本")
    (3, 4)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415  (loads tables of Unicode, needed for other text only)

    return cell_len(text)
