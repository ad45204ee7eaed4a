"""The base of all settings: unknown keys are refused, values are strict and frozen."""

import re
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
from defectscape.domain.spelling import TYPED_PATTERN, is_pair, our_name, pair_fault, turned


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


def _defect_name(value: object) -> object:
    """What cannot be a name is told, where possible with the one to write; ``Cd_i`` is ``i_Cd``."""
    if not isinstance(value, str):
        return value
    fault = pair_fault(value) if is_pair(value) else None
    if fault is not None:
        raise ValueError(f"{fault}; `defectscape check` lists the names that the host has")
    if re.fullmatch(TYPED_PATTERN, value) is None:
        meant = our_name(value)
        hint = f"write {meant}" if meant else "write letters, digits and single underscores, as in v_Cd or v_Sb_1"
        raise ValueError(f"{hint}; `defectscape check` lists the names that the host has")
    return turned(value)


_Typed = Annotated[str, Field(pattern=TYPED_PATTERN)]
DefectName = Annotated[_Typed, BeforeValidator(_defect_name, json_schema_input_type=_Typed)]
"""A defect's name: ours, or doped's; or those of a pair."""


def _path(value: object, info: ValidationInfo) -> object:
    """Text becomes a path; the context may name the ``folder`` that relative ones start in."""
    return Path((info.context or {}).get("folder", ""), value) if isinstance(value, str) else value


FilePath = Annotated[Path, BeforeValidator(_path), PlainSerializer(str, return_type=str)]
"""A path; ``settings.paths`` says where a study's relative ones start."""
