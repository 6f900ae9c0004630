"""Finds the server, its token and the team as turbo does: in options, the environment, then turbo's config files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from analyzer.errors import Option, UsageError
from analyzer.replayer.options import require_request_text
from analyzer.replayer.teams import TeamName

DEFAULT_API = "https://api.vercel.com"
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the API, its token (left out of the repr), and the team of events whose log names none."""

    api: str
    token: str = field(repr=False)
    ca_file: Path | None = None
    team: TeamName = ("", "")


def find_server(
    api: str | None, token: str | None, variables: Mapping[str, str], directory: Path, user_directory: Path
) -> Server:
    """Return the server by the arguments, the environment's `variables`, or turbo's files of the repository or user."""
    variables = {name: value for name, value in variables.items() if value}
    paths = (parent / ".turbo" / "config.json" for parent in (directory, *directory.parents))
    repository = next((_read_config(path) for path in paths if path.is_file()), {})
    user = _read_config(user_directory / "config.json")
    turbo_token, team_id, slug = map(variables.get, ("TURBO_TOKEN", "TURBO_TEAMID", "TURBO_TEAM"))
    pair = (variables.get("VERCEL_ARTIFACTS_TOKEN"), variables.get("VERCEL_ARTIFACTS_OWNER"))
    # As in turbo, a token goes with the team of its own set of variables: it is valid for that team only. Vercel's pair
    # counts unless the TURBO_ variables are a set, too.
    if all(pair) and not token and not (turbo_token and (team_id or slug)):
        turbo_token, team_id, slug = *pair, None
    if not (team_id or slug):
        team_id, slug = _first_value("teamId", repository, user), _first_value("teamSlug", repository, user)
    require_request_text({"team_id": team_id, "slug": slug})
    api = api or variables.get("TURBO_API") or _first_value("apiUrl", repository, user) or DEFAULT_API
    token = token or turbo_token or _first_value("token", _read_config(user_directory / "auth.json"), user)
    return Server(normalize_api(api), require_token_text(token or ""), team=(team_id or "", slug or ""))


def normalize_api(api: str) -> str:
    """Return an API's URL in normal form, by which the journal identifies it; raise UsageError for an unsafe URL.

    >>> normalize_api("HTTPS://Cache.example.com:443/")
    'https://cache.example.com'
    """
    try:
        parts = urlsplit(api if api.isprintable() else "")
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
        host.encode("idna")  # raises for names that no DNS query can carry
    except ValueError:
        scheme, host, port = "", "", None
    if not host or scheme not in DEFAULT_PORTS:
        raise UsageError(Option("api", api), ": not the URL of a server; https://cache.example.com is expected")
    if parts.username or parts.query or parts.fragment:
        raise UsageError(Option("api", f"{scheme}://{host}"), ": only scheme, host, port and path are allowed")
    if "/v8/artifacts" in parts.path:
        raise UsageError(Option("api", api), ": leave out /v8/artifacts, which is added to the URL")
    if scheme == "http" and not _is_loopback(host):
        raise UsageError(Option("api", api), ": would send the token unencrypted; use https, except on this machine")
    host = f"[{host}]" if ":" in host else host
    suffix = "" if port in (None, DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{suffix}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _read_config(path: Path) -> Mapping[str, Any]:
    """Return the values of a configuration file; none if it does not exist."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        problem = f"turbo's configuration cannot be read ({type(error).__name__}); repair or remove it"
        raise UsageError(f"{path}: {problem}") from None
    return values if isinstance(values, dict) else {}


def _first_value(name: str, *configs: Mapping[str, Any]) -> str | None:
    """Return the first value of a name; older versions of turbo write names in lower case."""
    values = (config.get(key) for config in configs for key in (name, name.lower()))
    return next((value for value in values if isinstance(value, str) and value), None)


def require_token_text(token: str) -> str:
    """Return a token; raise UsageError, without showing it, if no header can carry it."""
    if not token.isprintable() or not token.isascii() or " " in token:
        raise UsageError("the token has spaces or characters that no token has; copy it again")
    return token
