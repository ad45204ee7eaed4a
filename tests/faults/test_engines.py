"""Engines that hang, crash, give nonsense, or answer for another structure."""

import pytest
from faulty_study import LOW, Study
from outcomes import report

CASES = {
    "hangs": ("had not ended after 15 s", "ended after `engine.time_limit_s`"),
    "crashes": ("SIGSEGV", "its process died; it has one of its own, which is started again"),
    "is not finite": ("not finite", "a number that is not finite is refused"),
    "does not converge": ("no convergence", "every rung of the engine's ladder was tried"),
    "is of another structure": ("another structure", "the structure in the output is compared"),
}


@pytest.mark.parametrize("habit", CASES)
def test_one_bad_calculation_costs_itself(pooled: Study, habit: str) -> None:
    words, why = CASES[habit]
    pooled.faults(habits={pooled.name(5): habit})
    done = pooled.run(*LOW)
    assert done.returncode == 0, done.stdout + done.stderr
    failures = [record.failure for record in pooled.store.records() if record.label is None]
    assert len(failures) == 1
    assert words in failures[0]
    assert len(pooled.done()) == 23
    # The failure is known: it is not tried again, and no frame of it is trained on.
    calls = len(pooled.store.calls())
    for target in LOW:
        (pooled.folder / target).unlink()
    assert pooled.run(*LOW).returncode == 0
    assert len(pooled.store.calls()) == calls
    report(
        f"an engine's calculation {habit}", f"A recorded failure, never trained on: {why}",
        "`1 failed` in the progress, the reason in the failures' table of the report",
        pooled.store, pooled.done(),
    )  # fmt: skip
