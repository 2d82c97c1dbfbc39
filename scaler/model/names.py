"""The types of what an operator writes: host names, addresses, users, ports, versions.

Everything here ends up in command lines, unit files or Ansible variables, so each type admits only what its own
standard admits; nothing downstream has to quote or escape it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

# RFC 1123, the rule for a Node's name; 63 as for a label, since the name becomes the kubernetes.io/hostname label.
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NODE_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_USER = re.compile(r"[a-z_][-a-z0-9_]{0,31}")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_PATH = re.compile(r"/[-._/A-Za-z0-9]*")
_DOMAIN = _NODE_NAME
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
MAX_NAME = 63


def _node_name(text: str) -> str:
    if len(text) > MAX_NAME:
        raise ValueError(f"has {len(text)} characters, a node's name has at most {MAX_NAME}")
    if not _NODE_NAME.fullmatch(text):
        raise ValueError("is not a host name (RFC 1123: lower case letters, digits, '-' and '.' inside)")
    return text


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("is not an IP address") from None
    if "%" in text:
        raise ValueError("is an IPv6 address with a zone; a zone has a meaning on one host only")
    itself = getattr(address, "ipv4_mapped", None) or address
    if itself.is_multicast or itself.is_unspecified or itself.is_loopback or itself == _BROADCAST:
        raise ValueError("is not the address of a host (unspecified, loopback, multicast or broadcast)")
    return str(address)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as e:
        raise ValueError(f"is not a network: {e}") from None


def _matches(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"is not {what}")
        return text

    return AfterValidator(check)


def _endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not _PORT.fullmatch(port) or int(port) >= 2**16:
        raise ValueError("is not HOST:PORT")
    if re.fullmatch(r"[0-9.]+", host) or ":" in host:
        address = _address(host.strip("[]"))
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{_node_name(host)}:{port}"


NodeName = Annotated[str, AfterValidator(_node_name)]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
User = Annotated[str, _matches(_USER, "a user's name")]
Port = Annotated[int, Field(ge=1, le=65535)]
Version = Annotated[str, _matches(_VERSION, "a version like 1.20.2")]
RemotePath = Annotated[str, _matches(_PATH, "an absolute path of letters, digits, '.', '_', '-' and '/'")]
Word = Annotated[str, _matches(re.compile(r"[a-z][a-z0-9-]*"), "a plain word")]
Domain = Annotated[str, _matches(_DOMAIN, "a domain name")]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
# <component>/v<version>/linux-<arch>/<name>.tar in the store.
ArchivePath = Annotated[
    str,
    _matches(
        re.compile(r"[-a-z0-9]+/v[-._A-Za-z0-9]+/linux-[a-z0-9]+/[-._A-Za-z0-9]+\.tar"),
        "an archive's path in the store",
    ),
]
ImageName = Annotated[str, _matches(re.compile(r"[-a-z0-9./_:@]+"), "an image's name")]
