"""Run one of scaler's playbooks by ansible-runner: one run for all hosts, a fork each, a result a host.

The playbook sees an inventory of just the hosts it is for, made from the checked model, so its cost does not grow with
the cluster and nothing an operator wrote is taken for a template (values are ``!unsafe``). Secrets are files of a
private directory that is removed with the run; nothing secret is a variable.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.comments import TaggedScalar

from scaler import assets
from scaler.errors import ScalerError
from scaler.gateways import orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scaler.model.inventory import Connection, Host

_MAX_FORKS = 50
UNREACHABLE = "the host was lost"
NO_RESULT = "Ansible has no result for this host"


@dataclass(frozen=True)
class HostRun:
    """What a playbook did on one host: its tasks' results by name, and why it failed if it did."""

    changed: bool = False
    failure: str = ""
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def lost(self) -> bool:
        """Tell whether the host was not there, or its result did not come (runner#1330): what was done is not known."""
        return lost(self.failure)


def lost(failure: str) -> bool:
    """Tell whether a playbook failed for a host because the host was not there or its result did not come."""
    return UNREACHABLE in failure or failure == NO_RESULT


class Playbooks(Protocol):
    """What the steps know of Ansible."""

    def run(
        self,
        playbook: str,
        hosts: Iterable[Host],
        variables: Mapping[str, Any],
        *,
        group: str,
        host_variables: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Callable[[str], None] | None = None,
        check: bool = False,
    ) -> dict[str, HostRun]:
        """Run ``playbook`` on ``hosts`` as members of ``group``; return each host's result."""


class RunnerPlaybooks:
    """Playbooks by ansible-runner, each in a directory of its own below ``private``, which nobody else can read."""

    def __init__(self, known_hosts: Path, private: Path) -> None:
        self._known_hosts, self._private = known_hosts, private
        # SSH's control sockets, which the runs share and which end by themselves.
        self._control = private / "cp"

    def run(
        self,
        playbook: str,
        hosts: Iterable[Host],
        variables: Mapping[str, Any],
        *,
        group: str,
        host_variables: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Callable[[str], None] | None = None,
        check: bool = False,
    ) -> dict[str, HostRun]:
        """Run ``playbook`` on ``hosts`` of ``group``, with ``check`` only looking; return each host's result.

        Raises ScalerError where Ansible itself did not run (a defect, not a host's failure).
        """
        import ansible_runner  # noqa: PLC0415 - half a second, and only runs that change something need it

        hosts = list(hosts)
        private = Path(tempfile.mkdtemp(prefix=f"{Path(playbook).stem}-", dir=self._private))
        try:
            inventory = private / "inventory.yml"
            with inventory.open("w", encoding="utf-8") as file:
                _yaml().dump(_inventory(group, hosts, variables, host_variables or {}), file)
            seen = _Results(progress)
            done = ansible_runner.run(
                private_data_dir=str(private),
                ident=Path(playbook).stem,
                playbook=str(assets.PLAYBOOKS / playbook),
                inventory=str(inventory),
                cmdline="--check" if check else None,
                forks=min(len(hosts), _MAX_FORKS),
                envvars=self._environment(),
                suppress_env_files=True,
                quiet=True,
                event_handler=seen.hear,
                cancel_callback=lambda: False,
            )
            output = Path(done.stdout.name).read_text(encoding="utf-8", errors="replace") if done.stdout else ""
        finally:
            shutil.rmtree(private, ignore_errors=True)
        results = {host.name: seen.of(host.name) for host in hosts}
        silent = not seen.heard or (done.rc != 0 and not any(result.failure for result in results.values()))
        if silent:
            raise ScalerError(f"playbook {playbook} did not run:\n" + "\n".join(output.splitlines()[-15:]))
        return results

    def _environment(self) -> dict[str, str]:
        python_path = [str(assets.PLAYBOOKS.parent), os.environ.get("PYTHONPATH", "")]
        return {
            orphans.VARIABLE: orphans.mark(),
            # Ansible must come from the environment scaler itself runs in, whatever PATH says.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(p for p in python_path if p),
            "ANSIBLE_CONFIG": str(assets.PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_SSH_ARGS": f"-o UserKnownHostsFile={self._known_hosts} "
            "-o ControlMaster=auto -o ControlPersist=60s -o StrictHostKeyChecking=yes "
            "-o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=8 "
            "-o ServerAliveInterval=5 -o ServerAliveCountMax=3",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._control),
        }


class _Results:
    """Collects each host's outcome from the runner's events."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self._results: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._changed: set[str] = set()
        self._failures: dict[str, str] = {}
        self._well: set[str] = set()

    def hear(self, event: Mapping[str, Any]) -> bool:
        data = event.get("event_data", {})
        host, kind = data.get("host"), event["event"]
        if kind == "playbook_on_stats":
            self._well = set(data.get("ok") or {}) - {*(data.get("failures") or {}), *(data.get("dark") or {})}
        if not host or not kind.startswith("runner_on_"):
            return False
        result = data.get("res") or {}
        task = str(data.get("task"))
        if kind == "runner_on_ok":
            self._results.setdefault(host, {})[task] = result
            if result.get("changed"):
                self._changed.add(host)
            if self._progress:
                self._progress(f"{host}: {task}")
        elif kind in {"runner_on_failed", "runner_on_unreachable"} and not data.get("ignore_errors"):
            away = f"{UNREACHABLE}: " if kind == "runner_on_unreachable" else ""
            self._failures[host] = f"{away}{task}: {_told(result)}"
        return False

    @property
    def heard(self) -> bool:
        """Tell whether any host had any result."""
        return bool(self._results or self._failures)

    def of(self, host: str) -> HostRun:
        # The runner loses events (runner#1330), the one that tells a failure too: only what the end confirms is well.
        if host not in self._failures and not (host in self._results and host in self._well):
            return HostRun(host in self._changed, NO_RESULT, self._results.get(host, {}))
        return HostRun(host in self._changed, self._failures.get(host, ""), self._results.get(host, {}))


def _told(result: Mapping[str, Any]) -> str:
    parts = [result.get(key) for key in ("msg", "stderr", "module_stderr", "log")]
    return "\n".join(str(part).strip() for part in parts if part) or json.dumps(result)[:500]


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 10_000
    return yaml


def _inventory(
    group: str, hosts: Iterable[Host], variables: Mapping[str, Any], host_variables: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "all": {
            "vars": _unsafe(dict(variables)),
            "children": {
                group: {
                    "hosts": {
                        host.name: _unsafe({**_connection(host.connection), **host_variables.get(host.name, {})})
                        for host in hosts
                    }
                }
            },
        }
    }


def _connection(connection: Connection) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "ansible_host": connection.address,
        "ansible_user": connection.user,
        "ansible_port": connection.port,
        "ansible_python_interpreter": connection.python,
        "ansible_become": connection.needs_sudo,
    }
    if connection.key:
        facts["ansible_ssh_private_key_file"] = str(connection.key)
    if connection.jump:
        facts["ansible_ssh_common_args"] = f"-o ProxyJump={connection.jump_user}@{connection.jump}"
    return facts


def _unsafe(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Mark every string in ``value`` as data, so that Ansible never takes it for a template."""
    if isinstance(value, dict):
        return {key: _unsafe(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_unsafe(inner) for inner in value]
    if value == "":
        return value  # Ansible reads a tagged empty string as none
    if isinstance(value, str | Path):
        return TaggedScalar(str(value), style='"', tag="!unsafe")
    return value
