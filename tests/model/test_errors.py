"""Error tables: known shifts give known errors."""

from dataclasses import replace

import numpy as np
import pytest

from defectscape.domain.label import Label, LabelledFrame
from defectscape.model.errors import error_table


def shifted(committee, frame, fidelity, energy_eV, force_eV_A) -> LabelledFrame:
    """A label that the committee misses by a known amount."""
    truth = committee.evaluate(frame, fidelity)
    label = Label(truth.energy_eV - energy_eV, truth.forces_eV_A - force_eV_A)
    return LabelledFrame(frame, label, fidelity)


def test_known_shifts_give_known_errors(committee, frame_of) -> None:
    # 7 atoms: an energy shift of 7 meV is 1 meV/atom. Charges -2 and 1 are off by +14 and -14 meV
    # on average, with +-7 meV inside each.
    items = [
        shifted(committee, frame_of(40 + index, charge), "high", energy, 0.01 * (index + 1))
        for index, (charge, energy) in enumerate([(-2, 0.021), (-2, 0.007), (1, -0.021), (1, -0.007)])
    ]
    table = error_table(committee, items)
    rows = {(row.defect, row.charge): row for row in table.rows}
    assert list(rows) == [(None, None), ("v_Cd", None), ("v_Cd", -2), ("v_Cd", 1)]
    total = rows[None, None]
    assert total.fidelity == "high"
    assert total.frames == 4
    assert total.energy_mae_meV_atom == pytest.approx(2.0, abs=1e-5)
    assert total.energy_rmse_meV_atom == pytest.approx(np.sqrt(5.0), abs=1e-5)
    assert total.energy_rmse_constants_refitted_meV_atom == pytest.approx(1.0, abs=1e-5)
    assert total.forces_mae_meV_A == pytest.approx(25.0, abs=1e-5)
    assert total.forces_rmse_meV_A == pytest.approx(np.sqrt(750.0), abs=1e-5)
    assert rows["v_Cd", 1].forces_mae_meV_A == pytest.approx(35.0, abs=1e-5)
    assert rows["v_Cd", 1].energy_mae_meV_atom == pytest.approx(2.0, abs=1e-5)
    assert replace(rows["v_Cd", None], defect=None) == total


def test_parity_pairs_and_refusals(committee, data_of, frame_of) -> None:
    held_out = data_of([50, 51])
    strange = frame_of(52, -1)
    table = error_table(committee, [*held_out, LabelledFrame(strange, Label(0.0, np.zeros((7, 3))), "low")])
    low, high = table.parity
    assert (low.fidelity, high.fidelity) == ("low", "high")
    assert len(low.frame_ids) == 6
    assert len(high.frame_ids) == 3
    assert low.label_forces_eV_A.shape == low.model_forces_eV_A.shape == (42, 3)
    assert low.force_std_eV_A.shape == (42,)
    labels = [item.label.energy_eV for item in held_out if item.fidelity == "low"]
    assert low.label_energy_eV.tolist() == labels
    assert [frame_id for frame_id, _ in table.refused] == [strange.frame_id]
