"""Managed instance groups of Compute Engine: what a node pool of GKE's consists of, one group in each zone.

GKE tells no sizes and no machines. They are those of the groups, asked by four plain requests, since the SDK for
Compute Engine is larger than all others together. How those requests look: the discovery document of compute v1.
"""

from __future__ import annotations

import re
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import google.auth
from google.api_core.exceptions import NotFound, from_http_response
from google.auth.transport.requests import AuthorizedSession
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from scaler.errors import CloudError
from scaler.model.pools import Instance, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

    from scaler.drivers.cloud import Doors
    from scaler.drivers.cloud_calls import Calls

HOST = "compute.googleapis.com"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
TIMEOUT_SECONDS = 60.0
# What the API takes at most: machines of one deletion, and machines on one page.
DELETED_AT_ONCE = 1000
PAGE = 500
_URL = re.compile(r"/projects/([^/]+)/zones/([^/]+)/instanceGroup(?:Manager)?s/([^/]+)$")
_MAKING = {"CREATING", "CREATING_WITHOUT_RETRIES", "RECREATING"}
_ENDING = {"DELETING", "ABANDONING", "STOPPING", "SUSPENDING"}
_COMING = {"", "PENDING", "PROVISIONING", "STAGING", "REPAIRING"}
T = TypeVar("T", bound="_Answer")


class _Answer(BaseModel):
    """Something that Compute Engine says; what is of no use here is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Fault(_Answer):
    """One error."""

    code: str = ""
    message: str = ""


class Faults(_Answer):
    """Several."""

    errors: tuple[Fault, ...] = ()


class Attempt(_Answer):
    """What came of the last attempt to make a machine."""

    errors: Faults = Faults()


class Managed(_Answer):
    """One machine of a group; it has a name and a URL before it exists."""

    instance: str
    current_action: str = "NONE"
    instance_status: str = ""
    last_attempt: Attempt = Attempt()

    @property
    def name(self) -> str:
        """Its name, which is its Node's too."""
        return self.instance.rsplit("/", 1)[-1]


class Listed(_Answer):
    """One page of machines."""

    managed_instances: tuple[Managed, ...] = ()
    next_page_token: str = ""


class Manager(_Answer):
    """A group; ``current_actions`` counts its machines by what is being done with them."""

    target_size: int = 0
    current_actions: dict[str, int] = Field(default={})


class ZoneOperation(_Answer):
    """What Compute Engine is doing."""

    name: str = ""
    status: str = ""
    error: Faults = Faults()


class Group(NamedTuple):
    """Where a group is."""

    project: str
    zone: str
    name: str

    @classmethod
    def at(cls, url: str) -> Group:
        """Return the group of that URL; raises CloudError where it is none."""
        found = _URL.search(url)
        if not found:
            raise CloudError(f"GKE names an instance group that cannot be read: {url}")
        return cls(*found.groups())


class Groups:
    """Asks Compute Engine; a group that is not there (any more) is an empty one."""

    def __init__(self, doors: Doors, calls: Calls) -> None:
        self._base = f"{doors.endpoint('compute') or f'https://{HOST}'}/compute/v1"
        self._calls = calls

    def sizes(self, group: Group) -> tuple[int, int]:
        """Return how many machines are wanted, and how many there are without those that failed."""
        found = self._calls.read(lambda: self._found(Manager, "GET", _path(group)))
        if found is None:
            return 0, 0
        if found.current_actions and not any(found.current_actions.get(to_camel(each.lower())) for each in _MAKING):
            return found.target_size, sum(found.current_actions.values())
        return found.target_size, sum(each.state != "failed" for each in self.instances(group))

    def instances(self, group: Group) -> list[Instance]:
        """Return the machines of a group; follows every page."""
        path, found, token = f"{_path(group)}/listManagedInstances", list[Instance](), ""
        while True:
            params: dict[str, str] = {"maxResults": str(PAGE)} | ({"pageToken": token} if token else {})
            page = self._calls.read(partial(self._found, Listed, "POST", path, params))
            if page is None:
                return found
            found += [_instance(group, each) for each in page.managed_instances]
            token = page.next_page_token
            if not token:
                return found

    def delete(self, group: Group, names: Sequence[str], request: str) -> str:
        """Begin to end these machines, and let the group's size go down; return the operation's name.

        ``request`` is a UUID: the API does the same one only once. One that is no longer there does not keep the
        others from going.
        """
        urls = [f"zones/{group.zone}/instances/{name}" for name in names]
        body = {"instances": urls, "skipInstancesOnValidationError": True}
        path, params = f"{_path(group)}/deleteInstances", {"requestId": request}
        return self._calls.absolute(lambda: self._ask(ZoneOperation, "POST", path, params, body)).name

    def operation(self, project: str, zone: str, name: str) -> ZoneOperation | None:
        """Return an operation of that zone's; None where it is forgotten."""
        path = f"/projects/{project}/zones/{zone}/operations/{name}"
        return self._calls.read(lambda: self._found(ZoneOperation, "GET", path))

    @cached_property
    def _session(self) -> AuthorizedSession:
        # Without scopes of ours, a service account signs its own token for this host, and no token is fetched.
        credentials, _ = google.auth.default(default_scopes=SCOPES)
        return AuthorizedSession(credentials, max_refresh_attempts=0, default_host=HOST)  # type: ignore[no-untyped-call]

    def _found(self, kind: type[T], method: str, path: str, params: Mapping[str, str] | None = None) -> T | None:
        try:
            return self._ask(kind, method, path, params)
        except NotFound:
            return None

    def _ask(
        self,
        kind: type[T],
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> T:
        answer: requests.Response = self._session.request(  # type: ignore[no-untyped-call]
            method, self._base + path, params=params, json=body, timeout=TIMEOUT_SECONDS
        )
        if not answer.ok:
            raise from_http_response(answer)  # type: ignore[no-untyped-call]
        return kind.model_validate_json(answer.content)


def _path(group: Group) -> str:
    return f"/projects/{group.project}/zones/{group.zone}/instanceGroupManagers/{group.name}"


def _instance(group: Group, told: Managed) -> Instance:
    action, status, faults = told.current_action, told.instance_status, told.last_attempt.errors.errors
    reason = None
    if action in _MAKING and faults:
        state, reason = "failed", Trouble(what=told.name, code=faults[0].code, message=faults[0].message)
    elif action in _ENDING:
        state = "leaving"
    elif action in _MAKING or status in _COMING:
        state = "starting"
    else:
        state = "running" if status == "RUNNING" else "leaving"
    return Instance(
        id=told.name,
        provider_id=f"gce://{group.project}/{group.zone}/{told.name}",
        node=told.name,
        state=state,
        zone=group.zone,
        reason=reason,
    )
