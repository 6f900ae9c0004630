"""The tour in CONTRIBUTING.md names files and functions that exist."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from conftest import event

from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.selection import Selection
from analyzer.archive.staging import ReadOptions
from analyzer.questions.misses import misses
from analyzer.questions.options import MissesOptions

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_path_of_the_tour_exists() -> None:
    paths = set(re.findall(r"`((?:analyzer|tests)/[\w/.]*)`", TEXT))
    assert len(paths) > 30
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_name_that_follows_a_path_is_defined_there() -> None:
    named = re.findall(r"`(analyzer/[\w/.]+\.py)`\s+\(`(\w+)`\)", TEXT)
    named += [(path, name) for name, path in re.findall(r"`(\w+)`\s+(?:in|of)\s+`(analyzer/[\w/.]+\.py)`", TEXT)]
    assert len(named) > 5
    missing = [
        (path, name)
        for path, name in named
        if not re.search(rf"^(?:class |def )?{name}\b", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []


def texts_of(path: Path) -> Iterator[tuple[str, int, str]]:
    """The string literals of a module, without docstrings, with their places."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield path.relative_to(ROOT).as_posix(), node.lineno, node.value


def test_no_message_below_the_command_line_spells_a_flag() -> None:
    """Library messages carry options as data; each front end spells them. Flags of turbo are turbo's own."""
    flag = re.compile(r"(?<![\w(-])--[a-z][\w-]+")
    of_turbo = {"--summarize", "--force", "--cache", "--dry"}
    paths = [path for path in sorted((ROOT / "analyzer").rglob("*.py")) if path.parent.name != "cli"]
    found = [text for path in paths for text in texts_of(path) if set(flag.findall(text[2])) - of_turbo]
    assert found == []


def test_the_temporary_tables_of_misses_are_those_of_the_tour(log: Callable[..., Path]) -> None:
    """Three from events, and besides them only those of the view `runs` or of selected single events."""
    path = log([event(), event(hash="h2", event="MISS"), event(source="REMOTE", hash="h2", event="MISS")])
    assert tables_of_misses([path]) == ["derived_", "derived_", "selection_"]
    assert tables_of_misses([path], Selection(status="ok")) == ["derived_", "derived_", "selection_", "selection_"]
    of_runs = [
        *["derived_"] * 10,
        "event",
        "lookup",
        "maybe_forced",
        "run_lookup",
        "selection_",
        "session_summary",
    ]
    assert (
        tables_of_misses([path, ROOT / "sample_data" / "acme" / "runs.ndjson.zst"], Selection(view="runs")) == of_runs
    )
    assert all(f"`{name}`" in TEXT or f"`{name}N`" in TEXT for name in of_runs)


def tables_of_misses(sources: list[Path], selection: Selection | None = None) -> list[str]:
    selection = selection or Selection()
    with open_log([str(path) for path in sources], ReadOptions(), LoadObserver(), selection.view) as opened:
        misses(opened, selection, MissesOptions())
        found = opened.connection.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
    return sorted(re.sub(r"\d+$", "", name) for (name,) in found)
