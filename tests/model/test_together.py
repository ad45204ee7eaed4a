"""The committee relaxes many charge states together as it relaxes each alone."""

import numpy as np
import pytest

from defectscape.search.relaxation import relax, relax_all
from defectscape.settings.search import SearchSettings
from defectscape.study.committees import CommitteeSurface


@pytest.mark.parametrize("fidelity", ["low", "high"])
def test_charges_and_heads_are_carried_by_each(committee, frame_of, fidelity) -> None:
    settings = SearchSettings(
        fmax_eV_A=0.02, max_steps=60, cross_seeds_per_charge=0, max_force_std_eV_A=9.0, batch_size=4
    )
    surface = CommitteeSurface(committee, fidelity)
    starts = [frame_of(seed, charge, amplitude_A=0.15) for seed in (90, 91) for charge in (1, -2, 0)]
    together = relax_all(starts, surface, settings)
    for start, found in zip(starts, together, strict=True):
        alone = relax(start, surface, settings)
        assert (alone.reason, found.final.charge) == (found.reason, start.charge)
        assert found.energy_eV == pytest.approx(alone.energy_eV, abs=1e-3)
        assert found.member_energies_eV == pytest.approx(alone.member_energies_eV, abs=1e-3)
        np.testing.assert_allclose(found.final.positions_A, alone.final.positions_A, atol=0.02)
    # One geometry, three charges: three energies, which the references alone do not explain.
    same = [start.recharged(q, origin=start.origin) for start in starts[:1] for q in (1, -2, 0)]
    energies = [r.energy_eV for r in relax_all(same, surface, settings)]
    assert len({round(energy, 2) for energy in energies}) == 3
