"""The machine's own Debian mirrors: the only ones the lab asks, so that none is named in the code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from scaler.errors import LabError

ETC = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


@dataclass(frozen=True)
class Source:
    """One entry of the machine's apt sources."""

    uris: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def parse_deb822(text: str) -> list[Source]:
    """Read the enabled ``deb`` entries of a ``.sources`` file."""
    found = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        # A continued line starts with a blank and belongs to the field above it.
        fields = dict(re.findall(r"(?m)^([\w-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", stanza))
        values = {key.lower(): value.strip() for key, value in fields.items()}
        if "deb" not in values.get("types", "").split() or values.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        found.append(
            Source(
                uris=" ".join(values.get("uris", "").split()),
                suites=tuple(values.get("suites", "").split()),
                components=tuple(values.get("components", "").split()),
                signed_by=values.get("signed-by", ""),
            )
        )
    return found


def parse_list(text: str) -> list[Source]:
    """Read the ``deb`` entries of a ``.list`` file."""
    found = []
    for line in text.splitlines():
        if match := _ONE_LINE.fullmatch(line.split("#", 1)[0].strip()):
            options = dict(option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
            components = tuple(match["components"].split())
            found.append(Source(match["uri"], (match["suite"],), components, options.get("signed-by", "")))
    return found


def debian_sources(release: str, *, etc: Path = ETC, os_release: Path = OS_RELEASE) -> list[Source]:
    """Where this machine gets Debian from, with its own release replaced by ``release``."""
    own = re.search(r'(?m)^VERSION_CODENAME="?([\w-]+)', os_release.read_text())
    codename = own[1] if own else release
    suites = {codename: release} | {f"{codename}-{part}": f"{release}-{part}" for part in ("updates", "security")}
    found = []
    for path in sorted([etc / "sources.list", *(etc / "sources.list.d").glob("*")]):
        parse = {".sources": parse_deb822, ".list": parse_list}.get(path.suffix)
        for source in parse(path.read_text()) if parse and path.is_file() else ():
            wanted = tuple(suites[suite] for suite in source.suites if suite in suites)
            # A third party's repository may use Debian's suite names, not Debian's key.
            debians = not source.signed_by or "debian" in source.signed_by or "PGP" in source.signed_by
            if wanted and "main" in source.components and debians:
                found.append(Source(source.uris, wanted, ("main",), source.signed_by))
    if not found:
        raise LabError(
            f"no Debian mirror for {release} in this machine's apt sources ({etc})",
            hint="the lab needs a Debian machine, or one whose apt sources name a Debian mirror",
        )
    return found


def render_deb822(sources: list[Source], types: str = "deb") -> str:
    """Write sources as a ``.sources`` file of ``deb`` or ``deb-src`` entries."""
    stanzas = []
    for source in sources:
        lines = [f"Types: {types}", f"URIs: {source.uris}", f"Suites: {' '.join(source.suites)}"]
        lines.append(f"Components: {' '.join(source.components)}")
        if source.signed_by:
            # A key may stand in the entry itself; its lines after the first are indented already.
            separator = "\n " if source.signed_by.startswith("-----") else " "
            lines.append(f"Signed-By:{separator}{source.signed_by}")
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)
