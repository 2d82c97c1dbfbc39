"""Take packages from this machine's own apt sources without changing anything of its apt."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import LabError
from scaler.gateways.process import Completed, ProcessError, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RELEASE = "bookworm"
COMPONENT = "main"
SUITES = frozenset({RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security"})
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


class Sources(NamedTuple):
    """Entries of apt in both of its formats: one-line ``*.list`` text and deb822 ``*.sources`` text."""

    lines: str
    stanzas: str


def both_types_of_line(line: str) -> list[str]:
    """Give an entry of the one-line format as ``deb`` and as ``deb-src``; none where it is not the release's."""
    entry = re.match(r"\s*deb(?:-src)?\s+(?P<options>\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<rest>[^#]*)", line)
    if entry is None:
        return []
    suite, *components = entry["rest"].split() or [""]
    if suite not in SUITES or COMPONENT not in components:
        return []
    where = f"{entry['options'] or ''}{entry['uri']} {suite} {COMPONENT}"
    return [f"deb {where}", f"deb-src {where}"]


def both_types_of_stanza(stanza: str) -> str:
    """Give a deb822 stanza with both types, narrowed to the release's suites; empty where it has none of them."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0].isspace():
            fields[name] = fields.get(name, "") + f"\n{line}"  # an embedded key of Signed-By stays as it is
            continue
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = value.strip()
    suites = [s for s in fields.get("suites", "").split() if s in SUITES]
    off = fields.get("enabled", "yes").lower() in {"no", "false", "off", "0", "without", "disable"}
    if off or not suites or COMPONENT not in fields.get("components", "").split():
        return ""
    fields |= {"types": "deb deb-src", "suites": " ".join(suites), "components": COMPONENT}
    return "".join(f"{key.title()}: {value}\n" for key, value in fields.items())


def of_release(lists: Sequence[str], deb822s: Sequence[str]) -> Sources:
    """Turn the texts of a machine's source files into entries for the release's packages and their sources."""
    lines = [entry for text in lists for line in text.splitlines() for entry in both_types_of_line(line)]
    stanzas = [both_types_of_stanza(stanza) for text in deb822s for stanza in re.split(r"\n(?:[ \t]*\n)+", text)]
    return Sources("".join(f"{x}\n" for x in dict.fromkeys(lines)), "\n".join(dict.fromkeys(filter(None, stanzas))))


def of_machine() -> Sources:
    """Read this machine's source files from where its own configuration says they are."""
    said = run(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]).out
    places = dict(word.split("=", 1) for word in shlex.split(said))
    parts = Path(places["PARTS"])
    lists = [path for path in (Path(places["LIST"]), *sorted(parts.glob("*.list"))) if path.is_file()]
    found = of_release([x.read_text() for x in lists], [x.read_text() for x in sorted(parts.glob("*.sources"))])
    if not found.lines and not found.stanzas:
        raise LabError(
            f"this machine's apt sources have no suite {RELEASE} with {COMPONENT}, which the lab is built from",
            hint=f"use a Debian {RELEASE} machine, or name its suites by codename ({RELEASE}, not stable)",
        )
    return found


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
    sources = of_machine()
    with TemporaryDirectory(dir=parent, prefix="apt.") as temporary:
        root = Path(temporary)
        for name in ("sources", "state", "lists/partial", "cache/archives/partial"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        (root / "sources" / "lab.list").write_text(sources.lines)
        (root / "sources" / "lab.sources").write_text(sources.stanzas)
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
