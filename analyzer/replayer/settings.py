"""Where to send and as whom, found where turbo finds it: flags, then the environment, then its configuration files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from analyzer.errors import Option, UsageError
from analyzer.replayer.validation import require_names

DEFAULT_API = "https://api.vercel.com"
NO_TOKEN = "no token: set TURBO_TOKEN, name a file with --token-file, or log in with `turbo login`"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Environment:
    """Where settings are looked for: the environment, the working directory, and the user's directory of turbo."""

    environment: Mapping[str, str]
    directory: Path
    user_directory: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The API's address, the token (hidden from repr), and the team of events whose log names none."""

    api: str
    token: str = field(repr=False)
    team_id: str | None = None
    slug: str | None = None


def find_settings(api: str | None, token_file: Path | None, around: Environment) -> Settings:
    """Return the settings by precedence: flag, environment, the repository's `.turbo/config.json`, the user's.

    Raises:
        UsageError: an address that is no URL or would send the token in the clear, a team that no request carries, or
            a file that cannot be read.
    """
    env = {name: value for name, value in around.environment.items() if value}
    repository, user = _repository(around.directory), _read(around.user_directory / "config.json")
    pair = {"token": env.get("VERCEL_ARTIFACTS_TOKEN"), "teamId": env.get("VERCEL_ARTIFACTS_OWNER")}
    pair = pair if all(pair.values()) else {}
    team_id = env.get("TURBO_TEAMID") or pair.get("teamId")
    slug = env.get("TURBO_TEAM")
    if not (team_id or slug):
        team_id, slug = _first("teamId", repository, user), _first("teamSlug", repository, user)
    require_names({"team_id": team_id, "slug": slug})
    found = api or env.get("TURBO_API") or _first("apiUrl", repository, user) or DEFAULT_API
    token = _token_in(token_file) if token_file else env.get("TURBO_TOKEN") or pair.get("token")
    token = token or _first("token", _read(around.user_directory / "auth.json"), user) or ""
    return Settings(address(found), clean(token), team_id, slug)


def address(api: str) -> str:
    """Return an API's address in the form that destinations are known by.

    >>> address("HTTPS://Cache.example.com:443/")
    'https://cache.example.com'
    """
    try:
        parts = urlsplit(api if api.isprintable() else "")
        host, port = (parts.hostname or "").lower(), parts.port
        host.encode("idna")
    except ValueError:
        host, port = "", None
    if parts_wrong := (not host or parts.scheme.lower() not in ("http", "https")):
        raise UsageError(Option("api", api), ": no address of a server; https://cache.example.com is expected")
    scheme = parts.scheme.lower()
    if parts.username or parts.query or parts.fragment or parts_wrong:
        raise UsageError(Option("api", f"{scheme}://{host}"), ": only scheme, host, port and path are taken")
    if "/v8/artifacts" in parts.path:
        raise UsageError(Option("api", api), ": the address without /v8/artifacts is expected; that is added")
    if scheme == "http" and not _is_loopback(host):
        why = "the token would go in the clear; use https (http only for this machine itself)"
        raise UsageError(Option("api", api), f": {why}")
    shown = f"[{host}]" if ":" in host else host
    place = "" if port in (None, {"http": 80, "https": 443}[scheme]) else f":{port}"
    return f"{scheme}://{shown}{place}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _repository(directory: Path) -> Mapping[str, Any]:
    paths = (parent / ".turbo" / "config.json" for parent in (directory, *directory.parents))
    return next((_read(path) for path in paths if path.is_file()), {})


def _read(path: Path) -> Mapping[str, Any]:
    """Return a configuration file's values; where there is none, nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: turbo's configuration cannot be read ({type(error).__name__}); mend or remove it"
        ) from None
    return found if isinstance(found, dict) else {}


def _first(name: str, *files: Mapping[str, Any]) -> str | None:
    """Return a name's first value in files; older ones write names in small letters."""
    values = (file.get(key) for file in files for key in (name, name.lower()))
    return next((value for value in values if isinstance(value, str) and value), None)


def _token_in(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--token-file {path}: cannot be read ({getattr(error, 'strerror', None) or 'no text'})"
        ) from None
    if not token:
        raise UsageError(f"--token-file {path}: it is empty; put the token there, alone")
    return token


def clean(token: str) -> str:
    """Return a token; one that no header can carry is refused, and nothing said of what it is."""
    if not token.isprintable() or not token.isascii() or " " in token:
        raise UsageError("the token has spaces or characters that no token has; copy it again")
    return token
