"""The wheel and the sdist: what they contain, and that a user can install them."""

import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from conftest import SAMPLE

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
LINK = re.compile(r"\]\(([^)]+)\)")


def done(*command: object, home: Path | None = None) -> str:
    """Run a command, in a home of its own where one is given, and return what it prints."""
    isolated = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_BIN_HOME": str(home)} if home else {}
    removed = ("PYTHONPATH", "PIPX_HOME", "PIPX_BIN_DIR", "UV_TOOL_DIR", "UV_TOOL_BIN_DIR")
    environment = {name: value for name, value in os.environ.items() if not isolated or name not in removed}
    words = [str(word) for word in command]
    finished = subprocess.run(words, env={**environment, **isolated}, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist that it was built from."""
    directory = tmp_path_factory.mktemp("dist")
    done(sys.executable, "-m", "build", "--outdir", directory, ROOT)
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return wheel, sdist


def files_below(name: str) -> set[str]:
    """The files of a directory of the checkout, without those that Python makes."""
    found = (path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_has_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    wheel, _ = built
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    logs = {f"analyzer/{name}" for name in files_below("sample_data") if not name.endswith(".py")}
    assert names == files_below("analyzer") | logs
    assert {"analyzer/py.typed", "analyzer/render/page.js", "analyzer/render/page.html.jinja"} < names
    assert wheel.stat().st_size < 2e6


def test_the_sdist_has_what_builds_and_tests_the_package(built: tuple[Path, Path]) -> None:
    _, sdist = built
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    directories = {name.partition("/")[0] for name in names if "/" in name}
    assert directories == {".ci", ".github", "analyzer", "notebooks", "sample_data", "tests"}
    assert {name for name in names if "/" not in name} == {
        ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", "README.md",
        "REFERENCE.md", "SECURITY.md", "action.yml", "pyproject.toml",
    }  # fmt: skip
    assert {name for name in names if name.startswith("tests/")} == files_below("tests")
    assert sdist.stat().st_size < 5e6


def test_twine_accepts_both(built: tuple[Path, Path]) -> None:
    printed = done(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built)
    assert re.findall("PASSED|WARNING|FAILED", printed) == ["PASSED"] * 2


def test_links_of_the_description_are_absolute(built: tuple[Path, Path]) -> None:
    """A package index shows the README without the repository around it."""
    metadata = metadata_of(built[0])
    description, version = metadata.get_payload(), metadata["Version"]
    assert isinstance(description, str)
    links = LINK.findall(description)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    named = [link.removeprefix(f"{REPOSITORY}/") for link in links if link.startswith(f"{REPOSITORY}/")]
    places = [re.sub(rf"^(raw|blob)/v{version}/", "", link).partition("#")[0] for link in named]
    assert ".github/pictures/report.svg" in places
    assert [place for place in places if not (ROOT / place).exists()] == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", description)
    assert [link for link in pictures if not link.startswith(f"{REPOSITORY}/raw/v{version}/")] == []


def test_one_placeholder_stands_for_the_owner() -> None:
    """So that a single replacement publishes the package under another account."""
    texts = [(ROOT / name).read_text() for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "SECURITY.md")]
    texts += [path.read_text() for path in (ROOT / ".github").rglob("*.yml")]
    owners = {owner for text in texts for owner in re.findall(r"github\.com/([\w-]+)/cache-event-analyzer", text)}
    assert owners == {REPOSITORY.split("/")[-2]}


def test_the_changelog_has_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(PROJECT['version'])}\] - (\d{{4}}-\d\d-\d\d|unreleased)", headings[1])


@pytest.mark.parametrize("installer", ["pipx", "uv"])
def test_an_installed_wheel_works(built: tuple[Path, Path], installer: str, tmp_path: Path) -> None:
    wheel, _ = built
    command = {"pipx": ("pipx", "install"), "uv": ("uv", "tool", "install")}[installer]
    done(sys.executable, "-m", *command, wheel, home=tmp_path)
    (analyzer,) = [path for path in (tmp_path / "analyzer", tmp_path / ".local" / "bin" / "analyzer") if path.exists()]
    assert done(analyzer, "--version", home=tmp_path) == f"analyzer, version {PROJECT['version']}\n"
    printed = done(analyzer, "stats", SAMPLE / "recorded" / "capture.har", home=tmp_path)
    assert re.search(r"^events +148$", printed, re.MULTILINE)
