"""The messages and the service, out of the compiled definition: any version of protobuf's runtime takes it as it is.

They are in a pool of their own, so that a program that has the same definition from elsewhere may be this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

COMPILED = Path(__file__).with_name("externalgrpc.binpb")
_PACKAGE = "clusterautoscaler.cloudprovider.v1.externalgrpc"
SERVICE = f"{_PACKAGE}.CloudProvider"


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(COMPILED.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _pool()


def message(name: str, package: str = _PACKAGE) -> Any:  # noqa: ANN401 - the classes are made here, from data
    """Return the class of the message called ``name``."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{package}.{name}"))


def methods() -> dict[str, tuple[Any, Any]]:
    """Return the service's methods, each with the classes of its request and its response."""
    service: Any = _POOL.FindServiceByName(SERVICE)
    return {
        method.name: (GetMessageClass(method.input_type), GetMessageClass(method.output_type))
        for method in service.methods
    }
