"""Whether a certificate signing request is exactly the one that a join of this run makes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from scaler.pki import requests

if TYPE_CHECKING:
    from scaler.model.state import Csr

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
_CLIENT_USAGES = {"digital signature", "key encipherment", "client auth"}
_SERVING_USAGES = {"digital signature", "key encipherment", "server auth"}


class Expected(NamedTuple):
    """One node of this run: the token its kubelet comes with, and the names and addresses it may be certified for."""

    node: str
    token_id: str
    group: str
    names: frozenset[str]
    addresses: frozenset[str]


def refusal(csr: Csr, expected: Expected) -> str | None:
    """Return why ``csr`` must not be approved as ``expected``'s, None where it may.

    ``None`` means an exact match: requester, groups, signer, usages, subject, and names and addresses.
    """
    try:
        asked = requests.read(base64.b64decode(csr.spec.request))
    except ValueError as e:
        return f"not a valid request: {e}"
    if asked.names != (f"system:node:{expected.node}",) or asked.organizations != ("system:nodes",):
        return f"it asks for {'/'.join(asked.names)} of {'/'.join(asked.organizations)}"
    if csr.spec.signer == CLIENT_SIGNER:
        return _client(csr, expected, names=len(asked.dns) + len(asked.addresses) + asked.others)
    if csr.spec.signer == SERVING_SIGNER:
        return _serving(csr, expected, asked)
    return f"its signer is {csr.spec.signer}"


def _client(csr: Csr, expected: Expected, *, names: int) -> str | None:
    if csr.spec.username != f"system:bootstrap:{expected.token_id}" or expected.group not in csr.spec.groups:
        return f"it comes from {csr.spec.username}, not from this run's token"
    if names:
        return "it asks for more than a client certificate's own subject"
    if not set(csr.spec.usages) <= _CLIENT_USAGES or "client auth" not in csr.spec.usages:
        return f"its usages are {', '.join(csr.spec.usages)}"
    return None


def _serving(csr: Csr, expected: Expected, asked: requests.Asked) -> str | None:
    if csr.spec.username != f"system:node:{expected.node}" or "system:nodes" not in csr.spec.groups:
        return f"it comes from {csr.spec.username}"
    if asked.others or not asked.dns <= expected.names or asked.addresses != expected.addresses:
        return f"it asks for names {sorted(asked.dns)} and addresses {sorted(asked.addresses)}"
    if not set(csr.spec.usages) <= _SERVING_USAGES or "server auth" not in csr.spec.usages:
        return f"its usages are {', '.join(csr.spec.usages)}"
    return None
