"""A managed cluster as its inventory describes it: which cloud, where, which cluster, and how it is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter

from scaler.model.base import Value
from scaler.model.names import ImageName, NodeName, Word

# The kind of a cluster that is no cloud's, and of one that says none.
BINARY = "binary"
KINDS = ("ack", "tke", "eks", "gke", "aks")
Kind = Literal["ack", "tke", "eks", "gke", "aks"]
# What the clouds themselves take as names and IDs; nothing of it needs quoting in a path or a command line.
_ID = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]{0,127}")
_URL = re.compile(r"https?://[-.:\[\]A-Za-z0-9]+(/[-._/A-Za-z0-9]*)?")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("is not a cloud's name or ID (letters, digits, '.', '_' and '-')")
    return text


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError("is not an address like https://HOST or http://127.0.0.1:PORT")
    return text.rstrip("/")


CloudId = Annotated[str, AfterValidator(_id)]
Url = Annotated[str, AfterValidator(_url)]


class Managed(Value):
    """What every managed cluster's variables are, as ``inventories/example-cloud/group_vars/all.yml`` explains them.

    ``cluster_id`` is what the cloud's own API calls the cluster: an ID at ACK and TKE, a name at EKS, GKE and AKS.
    ``endpoints`` are addresses of the cloud's services in place of the usual ones, by the service's name.
    """

    kind: Kind
    cluster_name: NodeName
    region: CloudId
    cluster_id: CloudId
    admin_kubeconfig: Path
    kubectl: str = "kubectl"
    endpoints: dict[Word, Url] = Field(default={})
    wait_seconds: int = Field(default=1800, ge=1)
    poll_seconds: float = Field(default=10.0, gt=0)
    lease_seconds: int = Field(default=60, ge=12)
    verify_image: ImageName = "docker.io/library/busybox:1.36"


class Ack(Managed):
    """A cluster of Alibaba Cloud's ACK."""

    kind: Literal["ack"]


class Tke(Managed):
    """A cluster of Tencent Cloud's TKE."""

    kind: Literal["tke"]


class Eks(Managed):
    """A cluster of AWS' EKS; ``profile`` is one of the AWS configuration, empty for what the environment says."""

    kind: Literal["eks"]
    profile: str = ""


class Gke(Managed):
    """A cluster of Google's GKE; its ``region`` is a zone where the cluster is a zonal one."""

    kind: Literal["gke"]
    project: CloudId
    transport: Literal["grpc", "rest"] = "grpc"


class Aks(Managed):
    """A cluster of Azure's AKS."""

    kind: Literal["aks"]
    subscription: CloudId
    resource_group: CloudId


ManagedCluster = Annotated[Ack | Tke | Eks | Gke | Aks, Field(discriminator="kind")]
MANAGED: TypeAdapter[ManagedCluster] = TypeAdapter(ManagedCluster)
