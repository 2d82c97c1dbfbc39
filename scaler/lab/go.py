"""Debian's own Go, in GOPATH mode and without cgo: what it makes runs on any host of the same architecture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import LabError
from scaler.gateways.process import run
from scaler.lab.streaming import stream

if TYPE_CHECKING:
    from collections.abc import Callable

# By its place, not by PATH: another Go may be first there, and a newer one does not build the release's sources.
GO = Path("/usr/lib/go/bin/go")
BUILD_SECONDS = 3 * 3600


def environment(*, gopath: Path, cache: Path) -> dict[str, str]:
    """Give what Go reads from its environment, so that nothing of the operator's own Go settings counts."""
    return {
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
        "GOENV": "off",
        "GOPATH": str(gopath),
        "GOCACHE": str(cache),
        # A generator built with -trimpath does not know by itself where the standard library's source is.
        "GOROOT": str(GO.resolve().parents[1]),
        **dict.fromkeys(("GOFLAGS", "GOOS", "GOARCH", "GOEXPERIMENT"), ""),
    }


def version() -> str:
    """Return the version of Debian's Go, as in ``go1.19.8``."""
    if not GO.exists():
        raise LabError(f"{GO} is not there", hint="install golang-go with apt")
    return run([str(GO), "version"]).out.split()[2]


def build(
    arguments: list[str],
    heard: Callable[[str], None],
    *,
    env: dict[str, str],
    cwd: Path,
) -> None:
    """Run ``go build`` with ``arguments``; ``heard`` gets each package as it is compiled."""
    stream([str(GO), "build", "-v", "-trimpath", *arguments], heard, timeout=BUILD_SECONDS, env=env, cwd=cwd)
