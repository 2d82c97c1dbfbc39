"""The rows of ``versions.yaml``: since when each thing is there, until when, and what came in its place."""

from __future__ import annotations

import fnmatch
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import Field

from scaler.model.base import Value

Unknown = Literal["fatal", "ignored"]
# In C where it is there: the table is read by every run, also by those of Ansible's that only render.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Row(Value):
    """What becomes of one flag, field, gate, value or version of an API; the head of the file explains the words."""

    since: str = ""
    opened: str = ""
    deprecated: str = ""
    changed: str = ""
    removed: str = ""
    unknown: Unknown | None = None
    instead: str = ""


class Kind(Value):
    """A configuration file: whose it is, its fields in 1.20, and what came and went since."""

    component: str
    group: str = ""
    unknown: Unknown
    apis: dict[str, Row] = Field(default={})
    base: tuple[str, ...] = ()
    fields: dict[str, Row] = Field(default={})
    not_in: dict[str, tuple[str, ...]] = Field(default={})


class Required(Row):
    """A flag without which a component ends; with ``where``, only beside that other flag."""

    component: str
    flag: str
    where: str = ""


class Default(Value):
    """What it means from ``since`` on that a setting is not there."""

    component: str
    flag: str
    field: str = ""
    where: str = ""
    cgroup: int | None = None
    since: str
    means: str
    effect: Literal["fatal", "warned", "changed"]
    instead: str = ""


class Kernel(Value):
    """A kernel that is too old, for a kubelet, or for a ``mode`` of kube-proxy."""

    since: str
    below: str
    cgroup: int | None = None
    mode: str = ""
    effect: Literal["fatal", "warned"]
    why: str


class Facts(Value):
    """The whole table."""

    flags: dict[str, dict[str, Row]]
    kinds: dict[str, Kind]
    gates: dict[str, Row]
    values: dict[str, dict[str, dict[str, Row]]]
    required: tuple[Required, ...]
    defaults: tuple[Default, ...]
    containerd_min: dict[str, str]
    containerd_below: dict[str, str]
    containerd_lines: dict[str, dict[str, str]]
    runc_min_on_cgroup_v2: str
    kernels: tuple[Kernel, ...]
    cgroup_v1: dict[Literal["maintenance", "refused"], str]
    etcd_default: dict[str, str]
    etcd_min: dict[str, str]
    skew: dict[str, int]

    def flag(self, component: str, name: str) -> Row | None:
        """Return the row of ``component``'s ``--name``; its own name comes before a pattern that fits it too."""
        for table in (self.flags.get(component, {}), self.flags["all"] if component != "etcd" else {}):
            for pattern, row in table.items():
                if fnmatch.fnmatchcase(name, pattern):
                    return row
        return None

    def field(self, kind: str, path: str) -> Row | None:
        """Return the row of the field ``path``, or None where nothing is known of it."""
        return self.kinds[kind].fields.get(path) if kind in self.kinds else None


@cache
def facts() -> Facts:
    """Return the table, read once."""
    text = files("scaler.model").joinpath("versions.yaml").read_text(encoding="utf-8")
    return Facts.model_validate(yaml.load(text, Loader=_LOADER))  # noqa: S506 - a safe loader, whichever of the two
