"""Take packages from this machine's own apt sources without changing anything of its apt."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import LabError
from scaler.gateways.process import Completed, ProcessError, run
from scaler.lab.apt_sources import debian_sources, render_deb822

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASE = "bookworm"
DOWNLOAD_SECONDS = 900
HINT = "see whether `apt-get update` works on this machine"

# Hooks are emptied because images and desktops hang cleaning and indexing of the machine's own caches on them.
# The empty status makes what is offered independent of what is installed.
CONFIG = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{root}/sources";
Dir::State "{root}/state";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
"""


class Apt(NamedTuple):
    """An apt of the lab's own: the machine's mirrors, keys and proxies; its own lists, cache and status."""

    config: Path

    def get(self, *arguments: str, cwd: Path | None = None) -> Completed:
        """Run apt-get to its end."""
        argv = ["apt-get", "-q", "-c", str(self.config), *arguments]
        try:
            return run(argv, timeout=DOWNLOAD_SECONDS, cwd=cwd)
        except ProcessError as e:
            raise LabError(e.message, hint=HINT) from e

    def source_version(self, package: str) -> str:
        """Return Debian's version of the source package the release offers."""
        uris = self.get("source", "--print-uris", "--only-source", package).out
        found = re.search(rf" {re.escape(package)}_(\S+)\.dsc ", uris)
        if found is None:
            raise LabError(f"the machine's mirror offers no source package {package} for {RELEASE}")
        return found[1]

    def unpack(self, package: str, into: Path) -> str:
        """Unpack a binary package into a directory, installing nothing, and return Debian's version of it."""
        with TemporaryDirectory(dir=into.parent) as fresh:
            self.get("download", package, cwd=Path(fresh))
            (deb,) = Path(fresh).glob("*.deb")
            run(["dpkg-deb", "-x", str(deb), str(into)], timeout=DOWNLOAD_SECONDS)
            return run(["dpkg-deb", "-f", str(deb), "Version"]).out.strip()


@contextmanager
def private_apt(parent: Path) -> Iterator[Apt]:
    """Make an Apt with fresh lists in a temporary directory below ``parent``; it is gone at the end."""
    sources = render_deb822(debian_sources(RELEASE), types="deb deb-src")
    with TemporaryDirectory(dir=parent, prefix="apt.") as temporary:
        root = Path(temporary)
        for name in ("sources", "state", "lists/partial", "cache/archives/partial"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        (root / "sources" / "lab.sources").write_text(sources)
        config = root / "apt.conf"
        config.write_text(CONFIG.format(root=root))
        apt = Apt(config)
        # To apt a mirror that does not answer is a warning, which only says why the lists are not there.
        said = apt.get("update").err.strip().splitlines()
        if not any((root / "lists").glob("*Sources*")):
            raise LabError(f"no mirror gave its lists of {RELEASE}: {' / '.join(said[-3:])}", hint=HINT)
        yield apt


def upstream(version: str) -> str:
    """Turn Debian's version into upstream's tag: 1.20.5+really1.20.2-1.1 into v1.20.2, 1.6.20~ds1-1 into v1.6.20."""
    bare = version.partition(":")[2] or version
    bare = bare.rpartition("-")[0] or bare
    bare = bare.rpartition("+really")[2]
    return "v" + re.sub(r"[+~](?:ds|dfsg|repack).*$", "", bare)
