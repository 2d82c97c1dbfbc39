"""Binaries, keyed by component, version and architecture; each verified by SHA-256 before anyone uses it.

A store is a directory ``<component>/v<version>/linux-<arch>/<file>``. A cluster's ``binaries`` names a directory of
that shape, or an HTTP(S) mirror which is fetched into scaler's own cache first. The digests come from the inventory's
manifest, never from the place the bytes came from.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx2 as httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from scaler.errors import InputError, IntegrityError, UnreachableError
from scaler.gateways.files import BLOCK, sha256
from scaler.gateways.places import CACHE_VARIABLE, cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scaler.model.inventory import Settings

__all__ = ["CACHE_VARIABLE", "Binary", "Store", "cache_dir", "read_manifest"]


class Binary(NamedTuple):
    """One file of the store."""

    component: str
    version: str
    arch: str
    name: str

    @property
    def path(self) -> str:
        """Its path inside a store."""
        return f"{self.component}/v{self.version}/linux-{self.arch}/{self.name}"

    @property
    def release_path(self) -> str:
        """Its path in a mirror: Kubernetes' as its release address has it, everything else as a store has it."""
        if self.component == "kubernetes":
            return f"v{self.version}/bin/linux/{self.arch}/{self.name}"
        return self.path


class Store:
    """The binaries one cluster uses, by its settings."""

    def __init__(self, settings: Settings) -> None:
        self._source = settings.binaries
        self._manifest_file = settings.binaries_manifest
        self._manifest = read_manifest(settings.binaries_manifest)
        remote = self._source.startswith(("http://", "https://"))
        self.root = cache_dir() / "store" if remote else Path(self._source.removeprefix("file://"))
        self._remote = self._source.rstrip("/") if remote else None
        self._seen: dict[Binary, Path] = {}

    def digest(self, binary: Binary) -> str:
        """Return the SHA-256 that the manifest asks of ``binary``."""
        try:
            return self._manifest[binary.path]
        except KeyError:
            raise IntegrityError(
                f"{self._manifest_file} has no digest for {binary.path}",
                hint="add the line '<sha256>  " + binary.path + "' from a source you trust",
            ) from None

    def path(self, binary: Binary) -> Path:
        """Return where ``binary`` is on this machine, fetched if need be and verified."""
        if binary in self._seen:
            return self._seen[binary]
        wanted = self.digest(binary)
        path = self.root / binary.path
        if not path.is_file():
            if self._remote is None:
                raise InputError(f"{path} is not there", hint="fill the store, or set 'binaries' to a mirror")
            _fetch(f"{self._remote}/{binary.release_path}", path, wanted)
        found = sha256(path)
        if found != wanted:
            raise IntegrityError(
                f"{path} is not what the manifest says: SHA-256 {found}, expected {wanted}",
                hint="nothing was sent to any host; fetch the file again and find out who changed it",
            )
        self._seen[binary] = path
        return path

    def verify(self, binaries: Iterable[Binary], progress: Callable[[str], None]) -> None:
        """Make sure that all ``binaries`` are here and right."""
        for binary in binaries:
            if binary not in self._seen:
                progress(f"verifying {binary.path}")
                self.path(binary)


def read_manifest(path: Path) -> dict[str, str]:
    """Read lines of ``<sha256>  <path in the store>``, as sha256sum writes them."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise InputError(f"{path}: the manifest of binaries cannot be read: {e.strerror}") from e
    manifest = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        digest, _, name = line.partition("  ")
        if len(digest) != hashlib.sha256().digest_size * 2 or not name:
            raise InputError(f"{path}:{number}: not '<sha256>  <path>'")
        manifest[name.strip()] = digest.lower()
    return manifest


@retry(
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=1, max=10),
    retry=retry_if_exception_type(UnreachableError),
    reraise=True,
)
def _fetch(url: str, path: Path, wanted: str) -> None:
    """Fetch ``url`` to ``path``; it gets its name only when its digest is ``wanted``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    found = hashlib.sha256()
    try:
        with os.fdopen(descriptor, "wb") as file, httpx.stream("GET", url, timeout=30, follow_redirects=True) as answer:
            os.fchmod(file.fileno(), 0o755)  # kubectl runs from here
            answer.raise_for_status()
            for block in answer.iter_bytes(BLOCK):
                found.update(block)
                file.write(block)
        if found.hexdigest() != wanted:
            raise IntegrityError(f"{url} has SHA-256 {found.hexdigest()}, expected {wanted}")
        Path(temporary).replace(path)
    except httpx.HTTPStatusError as e:
        if e.response.is_server_error:
            raise UnreachableError(
                f"{url}: HTTP status {e.response.status_code}", hint="the mirror is in trouble; try again later"
            ) from e
        raise InputError(f"{url}: HTTP status {e.response.status_code}", hint="check 'binaries' and the version") from e
    except httpx.HTTPError as e:
        raise UnreachableError(f"{url}: {e or type(e).__name__}") from e
    finally:
        Path(temporary).unlink(missing_ok=True)
