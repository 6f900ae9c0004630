"""Loads a library while others work."""

from importlib import import_module
from threading import Thread


def ahead(module: str) -> None:
    """Import a module beside what comes next: DuckDB reads meanwhile, and whoever needs the module finds it there."""
    Thread(target=import_module, args=(module,), daemon=True).start()
