"""Where this process is: its journal, and turbo's settings around it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.readers.source import is_archive

if TYPE_CHECKING:
    from analyzer.replayer.settings import Settings

DEFAULT_JOURNAL = Path("cache-replay.sqlite")


def default_journal(sources: tuple[str, ...]) -> Path:
    """Return the journal's place: beside the archive itself, by whatever link it is named, else here."""
    archive = next((Path(source) for source in sources if is_archive(Path(source))), None)
    if not archive:
        return DEFAULT_JOURNAL
    real = archive.resolve()
    return (archive if real == archive.absolute() else real).with_suffix(".replay.sqlite")


def replay_settings(api: str | None, token_file: Path | None) -> "Settings":
    """Find the settings in this process's surroundings."""
    from platformdirs import user_config_path  # noqa: PLC0415

    from analyzer.replayer.settings import Environment, find_settings  # noqa: PLC0415

    around = Environment(os.environ, Path.cwd(), user_config_path("turborepo", appauthor=False, roaming=True))
    return find_settings(api, token_file, around)
