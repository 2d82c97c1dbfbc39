"""A balancer that scaler does not run: a program of the user's is told what to do, as JSON on its standard input.

    {"action": "set", "cluster": "prod", "endpoint": "lb.example.net:6443", "check": false,
     "backends": [{"name": "m1", "address": "192.0.2.11", "port": 6443}]}

``set`` makes the balancer send to exactly these; with ``check`` true it only judges whether it could. ``get`` asks
what it sends to: the program prints ``{"backends": [{"address": "192.0.2.11", "up": true}]}``. It ends with 0, or says
on its standard error why it could not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from scaler.drivers.lb import API_SERVER_PORT, Backend, Balancer, ByConfiguration, Doors
from scaler.errors import StepError
from scaler.gateways.process import ProcessError, run
from scaler.model.state import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Cluster, Host

SECONDS = 300.0


class _Backend(Told):
    address: str
    up: bool


class _Answer(Told):
    backends: tuple[_Backend, ...]


class External(ByConfiguration):
    """A program of the user's."""

    title = "an external load balancer"
    everywhere = False

    def balancers(self, cluster: Cluster) -> tuple[Balancer, ...]:
        """Return the one, called by the API's endpoint."""
        return (Balancer(cluster.settings.api_endpoint, None),)

    def rehearse(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Ask the program whether it could."""
        return _set(doors, balancers, masters, check=True)

    def put(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Have the program set the masters."""
        return _set(doors, balancers, masters, check=False)

    def serving(self, doors: Doors, balancer: Balancer) -> tuple[Backend, ...]:
        """Return what the program says."""
        said = _ask(doors, "get")
        try:
            answer = _Answer.model_validate_json(said)
        except ValidationError as e:
            why = e.errors(include_url=False)[0]["msg"]
            raise StepError(f"{balancer.name}: loadbalancer_command answered 'get' with no backends: {why}") from e
        return tuple(Backend(each.address, up=each.up) for each in answer.backends)

    def probe(self, doors: Doors, balancer: Balancer) -> str:
        """Nothing to ask from inside: the API is asked through its endpoint by whoever changes the balancer."""
        del doors, balancer
        return ""


def _set(doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host], *, check: bool) -> dict[str, str]:
    failures = {}
    for balancer in balancers:
        try:
            _ask(doors, "set", check=check, backends=_told(masters))
        except StepError as e:
            failures[balancer.name] = f"{e.message} ({e.hint})"
    return failures


def _told(masters: Sequence[Host]) -> list[dict[str, Any]]:
    return [{"name": master.name, "address": master.address, "port": API_SERVER_PORT} for master in masters]


def _ask(doors: Doors, action: str, **more: Any) -> str:  # noqa: ANN401 - JSON values
    settings = doors.cluster.settings
    asked = {"action": action, "cluster": settings.cluster_name, "endpoint": settings.api_endpoint, **more}
    try:
        return run(list(settings.loadbalancer_command), stdin=json.dumps(asked), timeout=SECONDS).out
    except ProcessError as e:
        said = e.completed.err.strip() if e.completed else ""
        raise StepError(
            f"loadbalancer_command failed to {action}: {said or e.message}",
            hint="run it by hand with this on its standard input: " + json.dumps(asked),
        ) from e


DRIVER = External()
