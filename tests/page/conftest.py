"""A fixture that opens a page in Chromium and returns its observations."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("playwright-core@1.65.1", "axe-core@4.14.1")
AUDIT = Path(__file__).with_name("audit.cjs")


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    chromium = shutil.which("chromium")
    if not chromium or not shutil.which("npm"):
        pytest.skip("Chromium or Node.js is not installed")
    directory = tmp_path_factory.mktemp("browser")
    install = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(directory), *PACKAGES]
    subprocess.run(install, check=True, capture_output=True)
    environment = {**os.environ, "NODE_PATH": str(directory / "node_modules")}

    def read(page: Path, *choices: str) -> dict[str, Any]:
        process = subprocess.run(
            ["node", AUDIT, page.resolve(), chromium, *choices],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)  # type: ignore[no-any-return]

    return read
