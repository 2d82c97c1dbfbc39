"""What changed when in Kubernetes and etcd: one table of facts, asked by templates and checks.

Source of each fact: the release notes and the sources named in ``versions.yaml``.
"""

from __future__ import annotations

from typing import TypeVar

from scaler.model.version_facts import Row, facts

Parts = tuple[int, ...]
T = TypeVar("T")
FIRST, LAST = (1, 20), (1, 37)


def parts(version: str) -> Parts:
    """Return ``version`` ("1.20.2", "v1.20", "1.6.20~ds1") as numbers that compare."""
    numbers = []
    for piece in version.removeprefix("v").split("."):
        digits = ""
        for character in piece:
            if not character.isdigit():
                break
            digits += character
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def minor(version: str) -> Parts:
    """Return major and minor of ``version``."""
    return parts(version)[:2]


def next_minor(version: str) -> str:
    """Return the minor after that of ``version``, as "1.21"."""
    major, number = minor(version)
    return f"{major}.{number + 1}"


def reached(version: str, first: str) -> bool:
    """Tell whether ``version`` is of the minor ``first`` or of a later one; of no minor where that is empty."""
    return bool(first) and minor(version) >= minor(first)


def there(version: str, row: Row | None) -> bool:
    """Tell whether ``version`` knows what ``row`` is about; what has no row was always there."""
    return row is None or not ((row.since and not reached(version, row.since)) or reached(version, row.removed))


def has_flag(version: str, component: str, flag: str) -> bool:
    """Tell whether ``component`` of ``version`` takes ``--flag`` (an unknown flag is fatal to it)."""
    return there(version, facts().flag(component, flag))


def has_field(version: str, kind: str, field: str) -> bool:
    """Tell whether the config ``kind`` of ``version`` knows ``field`` (most silently ignore one that they do not)."""
    row = facts().field(kind, field)
    if row is not None:
        return there(version, row)
    parent = field.rpartition(".")[0]
    return knows_field(kind, field) and (not parent or has_field(version, kind, parent))


def needs_gate(version: str, gate: str) -> bool:
    """Tell whether ``version`` has what ``gate`` opens, and has it closed unless told otherwise."""
    row = facts().gates[gate]
    return there(version, row) and not reached(version, row.opened)


def knows_field(kind: str, field: str) -> bool:
    """Tell whether any version knows ``field``; of a kind whose fields are not all told here, every one may be."""
    told = facts().kinds[kind]
    if not told.base:
        return True
    known = {*told.base, *told.fields}
    if field in known or any(path.startswith(f"{field}.") for path in known):
        return True
    # What a map holds, like evictionHard, is the user's; a field with fields of its own takes no others.
    parent = field.rpartition(".")[0]
    return bool(parent) and not any(path.startswith(f"{parent}.") for path in known) and knows_field(kind, parent)


def newest_row(table: dict[str, T], version: str) -> T | None:
    """Return the value of the newest row of ``table`` that is not newer than ``version``."""
    rows = [(parts(row), value) for row, value in table.items() if parts(row) <= minor(version)]
    return max(rows, key=lambda row: row[0])[1] if rows else None


def containerd_bounds(version: str) -> tuple[str | None, str | None]:
    """Return the lowest containerd (included) and the first too new one for a kubelet of ``version``."""
    below = facts().containerd_below.get(".".join(map(str, minor(version))))
    return newest_row(facts().containerd_min, version), below


def containerd_of_line(version: str, containerd: str) -> str | None:
    """Return the first of ``containerd``'s own line that is known with a kubelet of ``version``, if it is told."""
    lines = newest_row(facts().containerd_lines, version) or {}
    return lines.get(".".join(map(str, minor(containerd))))


def refuses_cgroup_v1(version: str) -> bool:
    """Tell whether a kubelet of ``version`` refuses cgroup v1 unless told otherwise (failCgroupV1, RN 1.35)."""
    return reached(version, facts().cgroup_v1["refused"])


def supported(version: str) -> bool:
    """Tell whether scaler knows Kubernetes ``version``."""
    return FIRST <= minor(version) <= LAST


def kubelet_may_join(kubelet: str, apiserver: str) -> bool:
    """Tell whether the skew policy allows ``kubelet`` beside ``apiserver``: never newer, n-2, from 1.28 n-3."""
    behind = minor(apiserver)[1] - minor(kubelet)[1]
    allowed = newest_row(facts().skew, apiserver) or 0
    return minor(kubelet)[0] == minor(apiserver)[0] and 0 <= behind <= allowed
