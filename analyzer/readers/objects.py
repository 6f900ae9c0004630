"""Finds and downloads what SOURCE names by a URL: objects of a bucket (s3://, gs://, az://, abfss://), and https://.

A bucket can be listed: `s3://logs/2026/11/` and `s3://logs/2026/*/*.ndjson.gz` are all objects below, or that match.
Credentials, region and endpoint come from the environment variables of each cloud, such as AWS_ACCESS_KEY_ID.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.errors import UnreadableError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

URL = re.compile(r"(s3a?|gs|az|azure|adl|abfss?|https?)://", re.IGNORECASE)
MANIFESTS = "_lake"  # the directory of a lake's manifests, by which a lake is known
CHUNK_BYTES = 1 << 22
MAX_RETRIES = 4

# What an error means, by what it says; the first that is found counts. The texts are those of the services.
EXPLANATIONS = {
    r"169\.254\.169\.254|/latest/api/token|metadata\.google\.internal|MissingCredentials|NoCredential": (
        "no credentials; set those of the bucket in the environment, such as AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket), GOOGLE_APPLICATION_CREDENTIALS, or"
        " AZURE_STORAGE_ACCOUNT_KEY"
    ),
    r"Account must be specified": "no storage account; set AZURE_STORAGE_ACCOUNT_NAME",
    r"NoSuchBucket": "no such bucket; check its name and AWS_REGION",
    r"ContainerNotFound|bucket does not exist": "no such bucket; check its name",
    r"AuthorizationHeaderMalformed|PermanentRedirect|IncorrectRegion|301 Moved|BareRedirect|without LOCATION": (
        "the bucket is in another region; set AWS_REGION"
    ),
    r"InvalidAccessKeyId|SignatureDoesNotMatch|401 Unauthorized|ExpiredToken|InvalidToken": (
        "the credentials are not valid; check those in the environment"
    ),
    r"403 Forbidden|AccessDenied": "access is denied; check the credentials in the environment and their permissions",
    r"empty path segment|Could not parse path|invalid path": (
        "it, or an object below it, has an empty part, . or .. in its name, which cannot be read; name the others"
    ),
    r"Content-Length": "the server does not say how long it is; download it first, such as with curl",
    r"404 Not Found|not found": "no such object",
    r"error sending request|dns error|[Cc]onnection|timed out": (
        "it cannot be reached; check the network, and AWS_ENDPOINT_URL if it is set"
    ),
}


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object of a bucket, or what is at a web address."""

    url: str
    store: "ObjectStore"
    path: str
    size_bytes: int  # 0 if it is not known before the download

    def download(self, target: Path) -> None:
        """Copy the object into a file.

        Raises:
            UnreadableError: it cannot be read.
        """
        import obstore  # noqa: PLC0415  (only for URLs)

        with remote_errors(self.url), target.open("wb") as file:
            for chunk in obstore.get(self.store, self.path).stream(min_chunk_size=CHUNK_BYTES):
                file.write(chunk)


def is_url(source: str) -> bool:
    """Return whether a source is a URL, and not the name of a file.

    >>> is_url("s3://logs/a.ndjson"), is_url("logs/a.ndjson")
    (True, False)
    """
    return URL.match(source) is not None


def find_objects(url: str) -> Iterator[tuple[RemoteObject, bool]]:
    """Yield the objects that a URL stands for, in the order of their names, and whether the URL is the object's own.

    Raises:
        UnreadableError: there is none, or the bucket cannot be listed; the objects before were yielded.
    """
    store, root, key = open_store(url)
    import obstore  # noqa: PLC0415  (after the error for a missing package)

    if key is None:
        yield RemoteObject(url, store, "", 0), True
        return
    with remote_errors(url):
        if key and not key.endswith("/"):
            try:
                size = obstore.head(store, key)["size"]
            except FileNotFoundError:
                key += "" if has_magic(key) else "/"  # as the name of a directory may end without one
            else:
                yield RemoteObject(url, store, key, size), True
                return
        found = sorted((meta["path"], meta["size"]) for meta in _list(store, key))
    lakes = {path.partition(f"{MANIFESTS}/")[0] for path, _ in found if f"/{MANIFESTS}/" in f"/{path}"}
    found = [(path, size) for path, size in found if not path.startswith(tuple(lakes))]
    if not found:
        what = "no object matches this pattern" if has_magic(key) else "there is no such object, and none below it"
        raise UnreadableError(f"{url}: {what}")
    for path, size_bytes in found:
        yield RemoteObject(f"{root}/{path}", store, path, size_bytes), False


def open_store(url: str) -> "tuple[ObjectStore, str, str | None]":
    """Return the store of a URL, the URL of that, and the key in it; None for a web address, which cannot be listed.

    Raises:
        UnreadableError: a package or a setting is missing, or the URL is not valid.
    """
    try:
        from obstore.store import from_url  # noqa: PLC0415  (only for URLs)
    except ImportError:
        raise UnreadableError(f"{url}: URLs need another package: pip install 'cache-event-analyzer[cloud]'") from None
    scheme, rest = url.split("://", 1)
    name, _, key = rest.partition("/")
    if not name:
        raise UnreadableError(f"{url}: the name of the bucket or server is missing")
    is_web = scheme.lower().startswith("http")
    root = url if is_web else f"{scheme.lower()}://{name}"
    endpoint = _endpoint()
    if endpoint and "://" not in endpoint:
        raise UnreadableError(f"{url}: AWS_ENDPOINT_URL is no URL: {endpoint}")
    with remote_errors(url):
        store = from_url(root, **store_options(root))
    return store, root, None if is_web else key


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""


@contextmanager
def remote_errors(url: str) -> Iterator[None]:
    """Convert errors about a URL to UnreadableError, with what to do."""
    import obstore  # noqa: PLC0415  (only for URLs)

    try:
        yield
    except (obstore.exceptions.BaseError, FileNotFoundError, ValueError) as error:
        text = str(error)
        found = (meaning for pattern, meaning in EXPLANATIONS.items() if re.search(pattern, text))
        raise UnreadableError(f"{url}: {next(found, text.splitlines()[0])}") from None


def store_options(url: str) -> dict[str, Any]:
    """Return the options of the store of a URL, beside those that it takes from the environment."""
    address = _endpoint() if url.lower().startswith("s3") else url
    client = {"client_options": {"allow_http": True}} if address.lower().startswith("http://") else {}
    return {"retry_config": {"max_retries": MAX_RETRIES}, **client}


def _list(store: "ObjectStore", key: str) -> Iterator[Any]:
    """Yield the metadata of the objects below `key`, or that match it, except those with a hidden name."""
    import obstore  # noqa: PLC0415

    prefix = key
    if has_magic(key):
        prefix = re.split(r"[*?\[]", key, maxsplit=1)[0].rpartition("/")[0]
    try:
        pattern = re.compile(_pattern(key)) if has_magic(key) else None
    except re.error:
        raise UnreadableError(f"{key}: not a pattern: a range in [] ends before it begins") from None
    for batch in obstore.list(store, prefix=prefix or None):
        for meta in batch:
            names = meta["path"].removeprefix(prefix).split("/")
            is_hidden = any(name.startswith(".") for name in names)
            # An empty object can stand for a directory, and holds no events.
            if meta["size"] and not is_hidden and (pattern is None or pattern.fullmatch(meta["path"])):
                yield meta


def _pattern(glob: str) -> str:
    """Return the regular expression of a glob, in which `**` alone stands for any number of directories.

    >>> bool(re.fullmatch(_pattern("2026/**/*.gz"), "2026/11/20/a.gz")), bool(re.fullmatch(_pattern("*.gz"), "a/b.gz"))
    (True, False)
    """
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", glob)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(part) or (_one_of(part) if part.startswith("[") and part.endswith("]") else re.escape(part))
        for part in parts
    )


def _one_of(part: str) -> str:
    """Return the regular expression of a part in brackets."""
    inner = re.sub(r"([\\^\[])", r"\\\1", part[1:-1])
    return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
