"""Protocol buffers' messages out of a table: no generated code, and a pool of their own.

A table has one message a line: its name, a colon, and its fields, each as type, name and number. ``map`` stands for
string to string, ``map[T]`` for string to T, ``T*`` for repeated. Whoever serves the same messages in this process
has them in another pool, so nobody's mistake is hidden by sharing.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2

_FIELD = re.compile(r"(?P<type>[\w.]+(?:\[(?P<of>[\w.]+)\])?)(?P<many>\*?) (?P<name>\w+) (?P<number>\d+)")
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "double": _Field.TYPE_DOUBLE,
}


class Messages:
    """The classes of all messages of some tables: ``messages["Node"]`` makes one."""

    def __init__(self, tables: dict[str, str], enums: dict[str, tuple[str, ...]]) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        known = [any_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR, timestamp_pb2.DESCRIPTOR]
        for there in known:
            self._pool.AddSerializedFile(there.serialized_pb)
        self._homes = {
            **{
                line.partition(":")[0]: package
                for package, table in tables.items()
                for line in table.split("\n")
                if line
            },
            **dict.fromkeys(("Any", "Duration", "Timestamp"), "google.protobuf"),
        }
        self._enums = enums
        before = [there.name for there in known]
        for package, table in tables.items():
            file = descriptor_pb2.FileDescriptorProto(
                name=f"{package}.proto", package=package, syntax="proto3", dependency=before
            )
            for line in filter(None, table.split("\n")):
                self._describe(file, package, line)
            self._pool.AddSerializedFile(file.SerializeToString())
            before = [*before, file.name]

    def __getitem__(self, name: str) -> Any:
        """Return the class of the message ``name``."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"{self._homes[name]}.{name}"))

    def _describe(self, file: descriptor_pb2.FileDescriptorProto, package: str, line: str) -> None:
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for enum, values in self._enums.items():
            if f"{enum} " in fields:
                message.enum_type.add(
                    name=enum,
                    value=[
                        descriptor_pb2.EnumValueDescriptorProto(name=value, number=number)
                        for number, value in enumerate(values)
                    ],
                )
        for text in filter(None, (part.strip() for part in fields.split(","))):
            found = _FIELD.fullmatch(text)
            assert found, f"{package}.{line}: {text}"
            field = message.field.add(name=found["name"], number=int(found["number"]), label=_Field.LABEL_OPTIONAL)
            if found["type"].startswith("map"):
                entry = f"{found['name'][0].upper()}{found['name'][1:]}Entry"
                pair = message.nested_type.add(name=entry)
                pair.options.map_entry = True
                for number, (part, kind) in enumerate((("key", "string"), ("value", found["of"] or "string")), start=1):
                    self._typed(pair.field.add(name=part, number=number, label=_Field.LABEL_OPTIONAL), kind, message)
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{name}.{entry}"
                field.label = _Field.LABEL_REPEATED
            else:
                self._typed(field, found["type"], message)
                if found["many"]:
                    field.label = _Field.LABEL_REPEATED

    def _typed(
        self,
        field: descriptor_pb2.FieldDescriptorProto,
        kind: str,
        message: descriptor_pb2.DescriptorProto,
    ) -> None:
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        elif kind in self._enums:
            field.type, field.type_name = _Field.TYPE_ENUM, f"{message.name}.{kind}"
        else:
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{self._homes[kind]}.{kind}"
