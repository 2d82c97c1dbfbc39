"""What would keep a component from starting, or make it do something else: each check is asked at one version."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from scaler.checks import found
from scaler.model.base import Value
from scaler.model.components import Component, Machine, Place


class LintFinding(Value):
    """Something wrong or about to be, and what to write instead; ``at`` is the version that it was judged at."""

    host: str
    component: str
    check: str
    file: str
    line: int
    message: str
    since: str = ""
    instead: str = ""
    error: bool
    at: str

    @property
    def key(self) -> tuple[object, ...]:
        """What it is about, whichever version it was judged at."""
        return self.host, self.component, self.check, self.file, self.line, self.message, self.error


class Subject(NamedTuple):
    """A component as a restart at version ``at`` would find it; it comes from ``now``.

    ``kubernetes`` is the Kubernetes around it, where ``at`` is another thing's version (etcd's, containerd's).
    """

    component: Component
    at: str
    now: str
    kubernetes: str
    machine: Machine | None = None


class Told(NamedTuple):
    """A finding as a check writes it; a warning leaves the component running as it is."""

    message: str
    place: Place
    since: str = ""
    instead: str = ""
    warning: bool = False


class Check(NamedTuple):
    """A family of rules."""

    name: str
    look: Callable[[Subject], Iterable[Told]]


def examine(host: str, subject: Subject) -> list[LintFinding]:
    """Return all findings of all checks about ``subject``."""
    return [
        LintFinding(
            host=host,
            component=subject.component.name,
            check=check.name,
            file=told.place.file,
            line=told.place.line,
            message=told.message,
            since=told.since,
            instead=told.instead,
            error=not told.warning,
            at=subject.at,
        )
        for check in found("lint")
        for told in check.look(subject)
    ]
