"""Engines that hang, crash, give nonsense, or answer for another structure."""

import pytest

from support.faulty_study import Study
from support.outcomes import report

pytestmark = pytest.mark.fault

CASES = {
    "hangs": ("had not ended after 10 s", "ended after `engine.time_limit_s`"),
    "crashes": ("SIGSEGV", "its process died; it has one of its own, which is started again"),
    "is not finite": ("NaN or infinity", "a number that is not finite is refused"),
    "does not converge": ("no convergence", "all of the engine's attempts were made"),
    "is of another structure": ("another structure", "the structure in the output is compared"),
}


@pytest.mark.parametrize("habit", CASES)
def test_one_bad_calculation_costs_itself(here: Study, habit: str) -> None:
    words, why = CASES[habit]
    here.faults(habits={here.name(5): habit})
    here.label_all()
    failures = [record.failure for record in here.store.records() if record.label is None]
    assert len(failures) == 1
    assert words in failures[0]
    assert len(here.done()) == 23
    # The failure is known: it is not tried again.
    calls = len(here.store.calls())
    here.label_all()
    assert len(here.store.calls()) == calls
    report(
        f"an engine's calculation {habit}",
        f"A recorded failure, never trained on: {why}",
        "`1 failed` in the progress, the reason in the failures' table of the report",
        here.store,
        here.done(),
    )
