"""A leaf of the store: the files of one component's version for one architecture, and their digests."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from scaler.gateways.files import sha256

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

SUMS = "SHA256SUMS"


def sums(files: Mapping[str, str]) -> str:
    """Write digests as coreutils' sha256sum does, so that ``sha256sum --check`` reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))


def is_complete(leaf: Path, names: Collection[str] = ()) -> bool:
    """Say whether a leaf has its digests, every file they name, and at least the files of ``names``."""
    try:
        listed = {line.split("  ", 1)[1] for line in (leaf / SUMS).read_text().splitlines()}
    except (FileNotFoundError, NotADirectoryError, IndexError):
        return False
    return listed >= set(names) and all((leaf / name).is_file() for name in listed)


def newest(component: Path, architecture: str, names: Collection[str]) -> str | None:
    """Return the newest version of a component that is complete for an architecture."""
    found = [leaf.parent.name for leaf in component.glob(f"*/linux-{architecture}") if is_complete(leaf, names)]
    return max(found, key=lambda version: [int(number) for number in re.findall(r"\d+", version)], default=None)


@contextmanager
def publish(leaf: Path) -> Iterator[Path]:
    """Give a directory to fill; at its end it becomes the leaf in one rename, with its digests, or nothing does."""
    leaf.parent.mkdir(parents=True, exist_ok=True)
    for left in leaf.parent.glob(f".{leaf.name}.*"):
        shutil.rmtree(left, ignore_errors=True)  # of a run that was killed
    fresh = Path(mkdtemp(dir=leaf.parent, prefix=f".{leaf.name}."))
    try:
        yield fresh
        (fresh / SUMS).write_text(sums({path.name: sha256(path) for path in fresh.iterdir()}))
        fresh.chmod(0o755)
        shutil.rmtree(leaf, ignore_errors=True)  # an incomplete one of an earlier run
        fresh.rename(leaf)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
