"""What changed when in Kubernetes and etcd: one table of facts, asked by templates and checks.

Source of each fact: the release notes and the sources named in ``versions.yaml``.
"""

from __future__ import annotations

import fnmatch
from functools import cache
from importlib.resources import files
from typing import Any, cast

from ruamel.yaml import YAML

Parts = tuple[int, ...]


@cache
def _facts() -> dict[str, Any]:
    text = files("scaler.model").joinpath("versions.yaml").read_text(encoding="utf-8")
    return cast("dict[str, Any]", YAML(typ="safe", pure=True).load(text))


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


def has_flag(version: str, component: str, flag: str) -> bool:
    """Tell whether ``component`` of ``version`` still takes ``--flag`` (an unknown flag is fatal to it)."""
    removed = {**_facts()["removed_flags"].get("all", {}), **_facts()["removed_flags"].get(component, {})}
    since = [first for pattern, first in removed.items() if fnmatch.fnmatchcase(flag, pattern)]
    return not any(minor(version) >= parts(first) for first in since)


def has_field(version: str, kind: str, field: str) -> bool:
    """Tell whether the config ``kind`` of ``version`` knows ``field`` (an unknown one is silently ignored)."""
    first = _facts()["first_field"].get(kind, {}).get(field)
    return first is None or minor(version) >= parts(first)


def needs_gate(version: str, gate: str) -> bool:
    """Tell whether ``version`` has what ``gate`` opens, and has it closed unless told otherwise."""
    first, opened = _facts()["gated"][gate]
    return parts(first) <= minor(version) < parts(opened)


def _at_or_before(table: dict[str, str], version: str) -> str | None:
    """Return the value of the newest row of ``table`` that is not newer than ``version``."""
    rows = sorted((parts(row), value) for row, value in table.items() if parts(row) <= minor(version))
    return rows[-1][1] if rows else None


def containerd_bounds(version: str) -> tuple[str | None, str | None]:
    """Return the lowest containerd (included) and the first too new one for a kubelet of ``version``."""
    below = _facts()["containerd_below"].get(".".join(map(str, minor(version))))
    return _at_or_before(_facts()["containerd_min"], version), below


def refuses_cgroup_v1(version: str) -> bool:
    """Tell whether a kubelet of ``version`` refuses cgroup v1 unless told otherwise (failCgroupV1, RN 1.35)."""
    return minor(version) >= (1, 35)


def supported(version: str) -> bool:
    """Tell whether scaler knows Kubernetes ``version``."""
    return (1, 20) <= minor(version) <= (1, 37)


def kubelet_may_join(kubelet: str, apiserver: str) -> bool:
    """Tell whether the skew policy allows ``kubelet`` beside ``apiserver``: never newer, n-2, from 1.28 n-3."""
    behind = minor(apiserver)[1] - minor(kubelet)[1]
    allowed = 3 if minor(apiserver) >= (1, 28) else 2
    return minor(kubelet)[0] == minor(apiserver)[0] and 0 <= behind <= allowed
