"""The notebooks run on the sample data, are short, and are kept without what they printed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["hit_rates", "misses_and_retention", "replay_archived_events"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_stripped(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert len(cells) < 16
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    imported = [line for cell in code for line in "".join(cell["source"]).splitlines() if "analyzer." in line]
    assert not any("import" in line for line in imported)


def test_they_run(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    command = [sys.executable, "-m", "pytest", "--nbmake", "-q", "-p", "no:cacheprovider", "notebooks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "3 passed" in done.stdout
