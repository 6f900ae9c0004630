"""A small monorepo of npm workspaces, in git."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

Packages = Mapping[str, Sequence[str]]
"""Names, and what each depends on."""

PACKAGES: Packages = {"base": [], "ui": ["base"], "api": ["base"], "web": ["ui", "api"], "docs": ["ui"]}
SCRIPTS = {
    "build": "sleep ${PAUSE:-0.2} && mkdir -p dist && cp source.txt dist/built.txt",
    "test": "sleep ${PAUSE:-0.1}",
    "lint": "sleep ${PAUSE:-0.1}",
    "watch": "sleep ${PAUSE:-0.1}",
}
TURBO = {
    "globalPassThroughEnv": ["PAUSE"],
    "tasks": {
        "build": {"dependsOn": ["^build"], "outputs": ["dist/**"]},
        "test": {"dependsOn": ["build"], "outputs": []},
        "lint": {"outputs": []},
        "watch": {"cache": False},
    },
}
ROOT = {"name": "acme", "private": True, "workspaces": ["packages/*"], "packageManager": "npm@10.8.2"}


def create(directory: Path, packages: Packages = PACKAGES) -> Path:
    """Write the repository and commit it on main; PAUSE in the environment makes each task take that many seconds."""
    for name, needed in packages.items():
        package = {"name": name, "version": "1.0.0", "scripts": SCRIPTS, "dependencies": dict.fromkeys(needed, "1.0.0")}
        write(directory / "packages" / name / "package.json", json.dumps(package))
        write(directory / "packages" / name / "source.txt", name)
    write(directory / "package.json", json.dumps(ROOT))
    write(directory / "turbo.json", json.dumps(TURBO))
    write(directory / ".gitignore", "node_modules\n.turbo\ndist\n")
    subprocess.run(
        ["npm", "install", "--package-lock-only", "--offline"], cwd=directory, check=True, capture_output=True
    )
    for command in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@acme.dev", *command], cwd=directory, check=True)
    return directory


def checkout(repository: Path, directory: Path) -> Path:
    """Clone the repository, as a machine that has never built it."""
    subprocess.run(["git", "clone", "--quiet", repository, directory], check=True)
    return directory


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
