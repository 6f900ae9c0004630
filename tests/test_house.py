"""The rules of the house that a machine can hold."""

import subprocess
import sys
from pathlib import Path

from analyzer.readers import formats as readers
from analyzer.render import OUTPUTS

ROOT = Path(__file__).parent.parent


def test_the_layers_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_reader_is_in_the_list() -> None:
    shared = {
        "__init__",
        "containers",
        "formats",
        "item",
        "objects",
        "run_inputs",
        "source",
        "storage",
        "stream",
        "wrapped",
    }
    files = {path.stem for path in (ROOT / "analyzer" / "readers").glob("*.py")} - shared
    found = [entry.items or entry.document for entry in readers.FORMATS.values()]
    assert files == {reader.__module__.rpartition(".")[2] for reader in found if reader}


def test_the_command_line_knows_every_format() -> None:
    from analyzer.cli import groups, output
    from analyzer.questions.dimensions import DIMENSIONS

    assert tuple(OUTPUTS) == output.FORMAT_NAMES
    assert ", ".join(DIMENSIONS) == f"{groups.DIMENSIONS}, source"


def test_heavy_libraries_have_one_place() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "analyzer").rglob("*.py")}
    assert [path for path, text in texts.items() if "duckdb.connect(" in text] == ["analyzer/archive/database.py"]
    drawn = [path for path, text in texts.items() if "import altair" in text or "import vl_convert" in text]
    assert drawn == ["analyzer/render/charts.py"]
    assert [path for path, text in texts.items() if "import httpx" in text] == ["analyzer/replayer/transport.py"]


def test_sample_data_is_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "sample_data").rglob("*") if path.is_file()) < 15e6
