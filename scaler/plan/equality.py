"""The sets that are one and the same in a cluster that is well: who votes, who serves, who is sent to, who is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.model.base import Value

if TYPE_CHECKING:
    from collections.abc import Iterable


class Row(Value):
    """One set by its name, and whether it is of etcd's hosts or of the masters."""

    title: str
    hosts: tuple[str, ...]
    of_etcd: bool = False


class Table(Value):
    """Every set that was looked at."""

    rows: tuple[Row, ...]
    learners: int = 0

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host that any set names, in the order in which they are first named."""
        return tuple(dict.fromkeys(host for row in self.rows for host in row.hosts))

    def differences(self) -> list[str]:
        """Tell, a sentence each, which set is not like the first of its kind."""
        told = [f"{self.learners} learners in etcd"] if self.learners else []
        for of_etcd in (True, False):
            rows = [row for row in self.rows if row.of_etcd is of_etcd]
            for row in rows[1:]:
                lacks = _list(set(rows[0].hosts) - set(row.hosts))
                more = _list(set(row.hosts) - set(rows[0].hosts))
                told += [f"{row.title} lacks {lacks}, which {rows[0].title} has"] if lacks else []
                told += [f"{row.title} has {more}, which {rows[0].title} has not"] if more else []
        return told


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
