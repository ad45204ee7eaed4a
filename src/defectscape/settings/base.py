"""The base of all settings: unknown keys are refused, values are strict and frozen."""

from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
)

from defectscape.domain.errors import DefectError
from defectscape.domain.keys import format_charge, parse_charge


class Settings(BaseModel):
    """Base class: no unknown key, no coercion, no change after loading, no number that is none."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _charge(value: object) -> int:
    """YAML turns an unquoted ``+1`` into 1, so a positive bare number has lost its sign."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("write a charge with its sign, in quotes: '+1', '-2' or '0'")
    if isinstance(value, str):
        try:
            return parse_charge(value)
        except DefectError as error:
            raise ValueError(str(error)) from error
    if value > 0:
        raise ValueError(f"charge {value} has no sign: write '+{value}', in quotes")
    return value


MAX_CHARGE = 8

Charge = Annotated[
    int,
    BeforeValidator(_charge, json_schema_input_type=str),
    Field(ge=-MAX_CHARGE, le=MAX_CHARGE),
    PlainSerializer(format_charge, return_type=str),
]
"""A charge state, units of e, written with its sign and in quotes."""


def _path(value: object, info: ValidationInfo) -> object:
    """Text becomes a path; the context may name the ``folder`` that relative ones start in."""
    return Path((info.context or {}).get("folder", ""), value) if isinstance(value, str) else value


FilePath = Annotated[Path, BeforeValidator(_path), PlainSerializer(str, return_type=str)]
"""A path; ``settings.paths`` says where a study's relative ones start."""
