"""The operating systems whose packages and paths scaler knows, out of the table that the roles read."""

from __future__ import annotations

from functools import cache

import yaml

from scaler import assets
from scaler.model.base import Value

TABLE = assets.PLAYBOOKS / "roles" / "cluster" / "defaults" / "main.yml"
DEFAULT = "debian"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class System(Value):
    """One family of operating systems: the ID of /etc/os-release of each, its packages by purpose, its paths."""

    name: str
    ids: tuple[str, ...]
    install: tuple[str, ...]
    packages: dict[str, tuple[str, ...]]
    cni_dir: str
    ctr: str
    ca_trust: str
    ca_trust_command: tuple[str, ...]
    nginx_user: str
    nginx_modules: str

    def install_command(self, purpose: str) -> str:
        """Return the command line that installs what ``purpose`` needs."""
        return " ".join([*self.install, *self.packages[purpose]])


@cache
def systems() -> dict[str, System]:
    """Return the table, read once."""
    told = yaml.load(TABLE.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader, whichever of the two
    return {name: System.model_validate(row) for name, row in told["_operating_systems"].items()}


def family(os_id: str) -> str:
    """Return the row for what /etc/os-release calls ID; empty where there is none, and nothing is guessed."""
    return next((name for name, system in systems().items() if os_id.lower() in system.ids), "")


def of(os_id: str) -> System:
    """Return the row for ``os_id``, Debian's for one that is not known: somebody has to be told some name."""
    return systems()[family(os_id) or DEFAULT]
