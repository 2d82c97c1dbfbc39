"""The host reaches the API: each master directly, and through the load balancer, with the cluster's CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator


def _look(subject: Subject) -> Iterator[Told]:
    endpoint = subject.cluster.settings.api_endpoint
    direct = [reach for reach in subject.facts.reach if reach.endpoint != endpoint]
    for reach in subject.facts.reach:
        if reach.endpoint == endpoint and reach.error:
            yield Told(
                f"cannot reach the API through {endpoint}: {reach.error}", "check routes and firewalls from there"
            )
    if direct and all(reach.error for reach in direct):
        told = "; ".join(f"{reach.endpoint}: {reach.error}" for reach in direct)
        yield Told(f"cannot reach any master directly: {told}", "check routes and firewalls from there")


CHECK = Check("reach", _look, of_nodes=True)
