"""The codec: values as JSON data and back, and what is refused."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from defectscape.domain.frame import Floats
from defectscape.files.codec import decode, encode


class Kind(StrEnum):
    GOOD = "good"


@dataclass(frozen=True)
class Inner:
    pair: tuple[str, int]
    word: Literal["yes", "no"]


@dataclass(frozen=True, eq=False)
class Outer:
    kind: Kind
    numbers: tuple[float, ...]
    matrix: Floats
    inner: Inner | None
    flag: bool = True


VALUE = Outer(Kind.GOOD, (1 / 3, math.nan), np.array([[0.1, -0.0]]), Inner(("a", 2), "yes"))
DATA = {
    "kind": "good",
    "numbers": [1 / 3, None],
    "matrix": [[0.1, -0.0]],
    "inner": {"pair": ["a", 2], "word": "yes"},
    "flag": True,
}


def test_a_value_is_its_fields_and_comes_back() -> None:
    assert encode(VALUE) == DATA
    back = decode(Outer, json.loads(json.dumps(encode(VALUE))))
    assert (back.kind, back.inner, back.flag) == (VALUE.kind, VALUE.inner, True)
    assert back.kind is Kind.GOOD
    assert back.numbers[0] == 1 / 3
    assert math.isnan(back.numbers[1])
    assert back.matrix.tobytes() == VALUE.matrix.tobytes()


def test_numbers_that_are_not_finite_stay_for_a_writer_that_refuses_them() -> None:
    assert encode([math.nan, np.array([math.inf])]) == [None, [None]]
    kept = encode([math.nan, np.array([math.inf])], not_finite="constants")
    with pytest.raises(ValueError, match="JSON"):
        json.dumps(kept, allow_nan=False)


def test_libraries_numbers_and_names_are_plain() -> None:
    given = {3: np.float64(0.1), "path": Path("a/b"), "whole": np.int64(2), "yes": np.bool_(True)}
    assert encode(given) == {"3": 0.1, "path": "a/b", "whole": 2, "yes": True}
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode({"what": object()})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"more": 1}, KeyError, "fields of Outer.*more"),
        ({"flag": None}, TypeError, "not of type bool"),
        ({"kind": "bad"}, ValueError, "bad"),
        ({"inner": {"pair": ["a", 2], "word": "maybe"}}, ValueError, "not one of"),
        ({"inner": {"pair": ["a"], "word": "yes"}}, ValueError, "shorter"),
        ({"inner": ["pair", "word"]}, KeyError, "fields of Inner"),
        ({"numbers": ["a third"]}, ValueError, "a third"),
    ],
)
def test_data_of_another_type_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        decode(Outer, DATA | change)


def test_a_field_with_a_default_must_be_there_all_the_same() -> None:
    with pytest.raises(KeyError, match="flag"):
        decode(Outer, {name: value for name, value in DATA.items() if name != "flag"})
