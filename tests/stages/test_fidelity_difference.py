"""What separates two levels: constants are free, spreads are not."""

import numpy as np
import pytest

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.summary.fidelity_difference import fidelity_differences


def labelled(number: int, charge: int, energy_eV: float, force: float, fidelity: str) -> LabelledFrame:
    frame = Frame(
        [14, 14],
        [[0, 0, 0], [2.0 + 0.1 * number, 0, 0]],
        np.eye(3) * 8,
        DefectKey("v_Si", charge),
        1,
        Origin.RATTLE,
        "f",
    )
    return LabelledFrame(frame, Label(energy_eV, np.full((2, 3), force)), fidelity)


def test_a_constant_is_no_spread() -> None:
    low = [labelled(n, 0, -10.0 - n, 0.1 * n, "pbe") for n in range(4)]
    high = [labelled(n, 0, -15.0 - n, 0.1 * n, "hse06") for n in range(4)]
    (gap,) = fidelity_differences(low, high)
    assert gap.frames == 4
    assert gap.shift_eV == pytest.approx(-5.0)
    assert gap.spread_meV_atom == pytest.approx(0.0, abs=1e-9)
    assert gap.low_spread_meV_atom == pytest.approx(1e3 * np.std([0, 1, 2, 3]) / 2)
    assert gap.force_rms_meV_A == pytest.approx(0.0, abs=1e-9)


def test_each_charge_is_counted_by_itself_and_only_frames_with_both_labels() -> None:
    low = [labelled(n, q, 0.0, 0.0, "pbe") for q in (1, 0) for n in range(3)]
    high = [labelled(n, q, 0.2 * n, 0.05, "hse06") for q in (0, 1) for n in range(2 + q)]
    positive, neutral = fidelity_differences(low, high)
    assert (positive.key, positive.frames) == ("v_Si_+1", 3)
    assert (neutral.key, neutral.frames) == ("v_Si_0", 2)
    assert neutral.spread_meV_atom == pytest.approx(1e3 * 0.1 / 2)
    assert neutral.force_rms_meV_A == pytest.approx(50.0)
    assert neutral.force_meV_A == pytest.approx(50.0)
