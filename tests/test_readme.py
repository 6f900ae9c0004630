"""The README's transcripts are what the commands print today; README_UPDATE=1 writes them anew."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```console\n\$ (?P<command>.*?)\n(?P<output>.*?)```", re.DOTALL)


def printed(command: str, here: Path) -> str:
    """What a command prints on stdout, in a directory with the sample data."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=here, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def test_transcripts(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    readme = ROOT / "README.md"
    text = readme.read_text()
    outputs = {block["command"]: printed(block["command"], tmp_path) for block in BLOCK.finditer(text)}
    assert len(outputs) > 4
    fresh = BLOCK.sub(lambda block: f"```console\n$ {block['command']}\n{outputs[block['command']]}\n```", text)
    if os.environ.get("README_UPDATE"):
        readme.write_text(fresh)
    assert fresh == text or os.environ.get("README_UPDATE")


def test_the_notebooks_snippet(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    printed("analyzer load sample_data --into cache.duckdb", tmp_path)
    snippet = re.search(r"```python\n(.*?)```", (ROOT / "notebooks" / "README.md").read_text(), re.DOTALL)
    assert snippet
    code = f"{snippet[1]}\nassert by_team.height > 4, by_team"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
