"""A component as its unit and its files set it up, each setting with the place where it is written."""

from __future__ import annotations

from typing import Literal

from scaler.model.base import Value


class Text(Value):
    """A file of a host, and what is in it."""

    path: str
    text: str


class Place(Value):
    """A line of a file; 0 where it is none in particular."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Setting(Value):
    """A flag, a field of a configuration file or a variable of the environment, by its name without dashes."""

    name: str
    value: str = ""
    source: Literal["flag", "field", "variable"] = "flag"
    place: Place

    @property
    def told(self) -> str:
        """The setting's name as people write it."""
        return f"--{self.name}" if self.source == "flag" else self.name

    @property
    def items(self) -> tuple[str, ...]:
        """Its value, or each item of it where that is a list."""
        return tuple(item.strip() for item in self.value.split(","))


class ConfigFile(Value):
    """A configuration file: the kind that it says it is, the version of its API, and its fields."""

    place: Place
    kind: str = ""
    group: str = ""
    api: Setting | None = None
    fields: tuple[Setting, ...] = ()
    wrong: str = ""


class Component(Value):
    """One component of one host; ``version`` is that of the binary which a restart would run."""

    name: str
    version: str = ""
    running: str = ""
    place: Place
    flags: tuple[Setting, ...] = ()
    files: tuple[ConfigFile, ...] = ()

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every flag and every field."""
        return (*self.flags, *(field for file in self.files for field in file.fields))

    def flag(self, name: str) -> Setting | None:
        """Return the flag that counts, the last of its name."""
        return next((flag for flag in reversed(self.flags) if flag.source == "flag" and flag.name == name), None)

    def value(self, flag: str, field: str = "") -> Setting | None:
        """Return a setting that may be a flag, which wins, or a field."""
        named = [each for file in self.files for each in file.fields if field and each.name == field]
        return self.flag(flag) or (named[-1] if named else None)


class Machine(Value):
    """What of the host itself decides whether a component starts.

    ``serving``: its kubelet has a certificate to serve with at the usual place; None where nobody looked.
    """

    cgroup: int = 2
    serving: bool | None = None
    kernel: str = ""
    containerd: str = ""
    runc: str = ""
