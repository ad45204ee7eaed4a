"""Values as plain JSON data and back: dataclasses field by field, from their type hints, floats exact.

A new field needs no change here; data that lack a field, or have one too many, are refused. Floats that are
not finite (the energy of a relaxation that failed) are ``null``.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Literal

import numpy as np
from pydantic_core import to_jsonable_python

Decoder = Callable[[Any], Any]


def encode(value: object, not_finite: Literal["null", "constants"] = "null") -> Any:
    """Plain JSON data of a value: dataclasses by field, enumerations by value, arrays and tuples as lists.

    Args:
        value: of dataclasses, enumerations, arrays, paths and plain data.
        not_finite: whether NaN and infinities become ``null`` or stay, for a writer that refuses them.
    """
    return to_jsonable_python(value, inf_nan_mode=not_finite, fallback=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def decode(kind: Any, data: Any) -> Any:
    """Build a value of the type ``kind`` from what ``encode`` made of it.

    Raises:
        KeyError, TypeError, ValueError: if the data are not those of the type.
    """
    return _decoder(kind)(data)


@cache
def _decoder(kind: Any) -> Decoder:
    """What builds a value of a type: the type's hints are looked up once, not with each value."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _fields_decoder(kind)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [_decoder(item) for item in arguments if item is not type(None)]
        return lambda data: None if data is None else inner(data)
    if kind is np.ndarray:
        return lambda data: np.array([np.nan if item is None else item for item in data])
    if origin is np.ndarray:
        dtype = typing.get_args(arguments[1])[0]
        return lambda data: np.array(data, dtype=dtype)
    if origin is tuple:
        items = [_decoder(item) for item in arguments if item is not ...]
        if arguments[-1] is ...:
            return lambda data: tuple(map(items[0], data))
        return lambda data: tuple(item(part) for item, part in zip(items, data, strict=True))
    if kind is float:
        return lambda data: math.nan if data is None else float(data)
    if origin is not typing.Literal and issubclass(kind, Enum):
        return kind
    return lambda data: _checked(kind, data)


def _fields_decoder(kind: type) -> Decoder:
    hints = typing.get_type_hints(kind)
    fields = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}

    def build(data: Any) -> Any:
        if not isinstance(data, dict) or data.keys() != fields.keys():
            raise KeyError(f"fields of {kind.__name__}: {sorted(set(data) ^ fields.keys())}")
        return kind(**{name: field(data[name]) for name, field in fields.items()})

    return build


def _checked(kind: Any, data: Any) -> Any:
    """Plain data that are of their type, or one of a ``Literal``'s."""
    if typing.get_origin(kind) is typing.Literal:
        if data not in typing.get_args(kind):
            raise ValueError(f"{data!r} is not one of {typing.get_args(kind)}")
    elif not isinstance(data, kind):
        raise TypeError(f"{data!r} is not of type {kind.__name__}")
    return data
