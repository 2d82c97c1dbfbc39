"""What a lab is made of, as a file: written before the thing is made, so that it can always be taken down."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from scaler.errors import LabError
from scaler.lab.layout import LabHost, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.lab.layout import Lab


class Record(BaseModel):
    """The subnet, the base image and the hosts of a lab, in the order they were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subnet: IPv4Network
    base: Path
    disk_bytes: int
    hosts: tuple[LabHost, ...] = ()

    def with_hosts(self, names: Sequence[str]) -> Record:
        """Give each new name the next address; a known one keeps its own."""
        hosts = list(self.hosts)
        for name in names:
            if all(host.name != name for host in hosts):
                hosts.append(place(name, self.subnet, len(hosts)))
        return self.model_copy(update={"hosts": tuple(hosts)})


def load(lab: Lab) -> Record | None:
    """Read a lab's record, or None where there is no such lab."""
    try:
        text = lab.record.read_text()
    except FileNotFoundError:
        return None
    try:
        return Record.model_validate_json(text)
    except ValidationError as e:
        raise LabError(f"{lab.record} is not a lab's record: {e.errors()[0]['msg']}", hint="take the lab down") from e


def save(lab: Lab, record: Record) -> None:
    """Write a lab's record: the old one or the new one is there, never a half."""
    lab.root.mkdir(parents=True, exist_ok=True)
    new = lab.record.with_suffix(".new")
    new.write_text(record.model_dump_json(indent=2) + "\n")
    new.replace(lab.record)
