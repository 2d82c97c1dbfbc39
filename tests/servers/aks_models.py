"""Checks a body for AKS against the types that the vendor's SDK ships: the one specification of its API there is."""

from __future__ import annotations

import types
import typing
from enum import Enum
from functools import cache
from typing import Any

from azure.mgmt.containerservice import models
from azure.mgmt.containerservice._utils.model_base import Model
from azure.mgmt.containerservice.models import _models

_READ_ONLY = ["read"]
# Read-only by its description only.
_TOLD_ONLY = {"status", "virtualMachineNodesStatus"}


@cache
def _fields(model: Any) -> dict[str, tuple[Any, list[str]]]:
    """Return a model's fields by their names on the wire, each with its type and what it may be used for."""
    model({})  # the SDK finds out what its fields are when the first one is made
    rest: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    for each in reversed(model.__mro__):
        rest |= getattr(each, "_attr_to_rest_field", {})
        hints |= typing.get_type_hints(each, {**vars(_models), "_models": models}) if each is not object else {}
    return {field._rest_name: (hints[name], field._visibility or []) for name, field in rest.items()}


def wrong(model: Any, told: Any, where: str = "") -> str:
    """Return what is wrong with ``told`` as a write of ``model``, empty where nothing is."""
    if not isinstance(told, dict):
        return f"{where or 'the body'} is no object"
    for name, value in told.items():
        path = f"{where}.{name}" if where else name
        if name not in _fields(model):
            return f"{path} is not a field"
        hint, visibility = _fields(model)[name]
        if visibility == _READ_ONLY or name in _TOLD_ONLY:
            return f"{path} is read-only"
        if value is not None and (why := _wrong(hint, value, path)):
            return why
    return ""


def _wrong(hint: Any, value: Any, path: str) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return _none_of(inner, value, path)
    if origin is list and isinstance(value, list):
        return next(filter(None, (_wrong(inner[0], each, path) for each in value)), "")
    if isinstance(hint, type) and issubclass(hint, Model):
        return wrong(hint, value, path)
    allowed = {float: (int, float), int: (int,)}.get(hint, (origin or hint,))
    right = isinstance(value, allowed) and (hint is bool or not isinstance(value, bool))
    return "" if right else f"{path}: {value!r} is no {allowed[0].__name__}"


def _none_of(choices: tuple[Any, ...], value: Any, path: str) -> str:
    """Return why a value is none of the choices; the SDK's enums are open, AKS' are not."""
    enum = next((each for each in choices if isinstance(each, type) and issubclass(each, Enum)), None)
    if enum is None:
        return _wrong(next(each for each in choices if each is not type(None)), value, path)
    known = [str(member.value) for member in enum]
    return "" if value in known else f"{path}: {value!r} is none of {', '.join(known)}"
