"""Who a service of scaler's runs as: where that user's files are, and what the unit must be told so."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scaler.engine.journal import STATE_VARIABLE, state_dir
from scaler.errors import InputError
from scaler.gateways import units
from scaler.gateways.places import CACHE_VARIABLE, cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TMP = ("/tmp", "/var/tmp")  # noqa: S108 - no file is made there
_PASSED_ON = ("SCALER_INVENTORIES", "SCALER_POLL_SECONDS", "SCALER_LAB_DIR")


class Who(NamedTuple):
    """Who runs a service, where their files are, and whether a user's own systemd has it."""

    user: str
    state: Path
    cache: Path
    own_manager: bool

    @property
    def settings(self) -> dict[str, str]:
        """The variables that let scaler find the same places and clouds as it does for whoever asks."""
        passed = {n: v for n, v in os.environ.items() if n in _PASSED_ON or n.startswith("SCALER_ENDPOINT_")}
        return {STATE_VARIABLE: str(self.state), CACHE_VARIABLE: str(self.cache), **passed}

    def unit(self, *, reads: Iterable[Path], writes: Sequence[Path]) -> dict[str, Any]:
        """Return what a unit's template is told of who runs it, and of the paths that it reads and writes."""
        # Ansible keeps files of its own in the home directory, which the unit may only read.
        private = {} if self.own_manager else {"ANSIBLE_HOME": "/tmp/ansible"}  # noqa: S108 - the unit's own /tmp
        variables = {**self.settings, **private}
        return {
            "user": self.user,
            "environment": [units.word(f"{name}={value}") for name, value in variables.items()],
            "writes": [units.word(str(path)) for path in writes],
            "hidden": [units.word(str(path)) for path in _in_tmp(reads)],
            "hidden_writes": [units.word(str(path)) for path in _in_tmp(writes)],
        }


def who(user: str, *, own_manager: bool = False) -> Who:
    """Return who is to run a service: ``user``, or whoever asks; raises InputError."""
    asking = pwd.getpwuid(os.getuid())
    if not user or user == asking.pw_name:
        return Who(asking.pw_name, state_dir().absolute(), cache_dir().absolute(), own_manager)
    if own_manager:
        raise InputError("--user installs for yourself; --as is for the machine's own systemd", hint="say one of them")
    try:
        home = Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise InputError(f"there is no user {user} on this machine") from None
    state = Path(os.environ.get(STATE_VARIABLE) or home / ".local/state/scaler")
    cache = Path(os.environ.get(CACHE_VARIABLE) or home / ".cache/scaler")
    return Who(user, state.absolute(), cache.absolute(), own_manager=False)


def _in_tmp(needed: Iterable[Path]) -> list[Path]:
    """Return what a unit's own /tmp and /var/tmp would hide."""
    hidden = [path for path in needed if any(path.is_relative_to(place) for place in _TMP)]
    return list(dict.fromkeys(hidden))
