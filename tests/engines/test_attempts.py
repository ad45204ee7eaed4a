"""Attempts: in order, as many as needed, and what is no failed calculation ends the work."""

import pytest

from defectscape.domain.errors import EngineError, LabelError
from defectscape.engines.attempts import Attempted, try_attempts
from defectscape.engines.base import CalculationFailed, ScfAttempt


class ThreeAttempts:
    name, version, settings_json = "three", "0", "{}"
    attempts = tuple(ScfAttempt(name, "") for name in ("first", "second", "third"))


@pytest.fixture
def made(crystal, frame_of):
    """The outcome of three attempts that give these answers, and the indices of those that were made."""
    frame = frame_of(crystal("CdTe"))

    def make(*answers):
        indices = []

        def call(structure, index):
            assert structure is frame
            indices.append(index)
            if isinstance(answers[index], Exception):
                raise answers[index]
            return answers[index]

        return try_attempts(ThreeAttempts(), frame, call), indices

    return make


def test_the_first_success_ends_them(made):
    assert made("a", "b", "c") == (Attempted("a", None, 0), [0])
    assert made(CalculationFailed("no"), "b", "c") == (Attempted("b", None, 1), [0, 1])


def test_all_reasons_are_told(made):
    nonsense = LabelError("label of x", "nan", "It is not used")
    outcome, indices = made(CalculationFailed("no"), nonsense, CalculationFailed("never"))
    assert outcome.result is None
    assert outcome.failure == f"first: no; second: {nonsense}; third: never"
    assert (outcome.last, indices) == (2, [0, 1, 2])


def test_a_hopeless_failure_ends_them(made):
    outcome, indices = made(CalculationFailed("no"), CalculationFailed("lost", hopeless=True), "c")
    assert (outcome.failure, indices) == ("first: no; second: lost", [0, 1])


def test_what_is_no_failed_calculation_ends_the_work(made):
    with pytest.raises(EngineError):
        made(CalculationFailed("no"), EngineError("a", "b", "c"), "c")
