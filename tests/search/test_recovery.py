"""Recovery of reference minima: symmetry, order and drift do not matter, structure does."""

import numpy as np
import pytest
from ase.calculators.emt import EMT

from defectscape.domain.errors import SearchError
from defectscape.domain.frame import Origin
from defectscape.search.matching import host_operations
from defectscape.search.relaxation import nudged, relax_all
from defectscape.settings.search import MinimaSettings
from defectscape.tools.ase_surface import AseSurface, charge_response
from defectscape.tools.recovery import recover


@pytest.fixture(scope="module")
def relaxed(vacancy, search):
    starts = [vacancy, nudged(vacancy, 1, 0.1), nudged(vacancy, 2, 0.2)]
    return relax_all(starts, AseSurface(EMT), search.model_copy(update={"batch_size": 1}))


@pytest.fixture(scope="module")
def operations(copper):
    return host_operations(copper, (0.0, 0.0, 0.0))


def moved(frame, positions):
    return frame.moved(positions, origin=Origin.MINIMUM)


def test_its_own_minimum_is_recovered_by_every_start(relaxed, operations) -> None:
    found = recover(relaxed, [relaxed[0].final], operations, MinimaSettings())
    assert (found.starts, found.converged, found.starts_at_ground_state) == (3, 3, 3)
    assert found.finds_ground_state
    assert found.rmsd_A < 0.02
    assert found.distinct_minima == 1


def test_drift_and_a_mirror_image_are_the_same_structure(relaxed, operations) -> None:
    final = relaxed[1].final
    mirrored = final.positions_A * [-1, 1, 1] + [0.1, -0.2, 0.3]
    found = recover(relaxed, [moved(final, mirrored)], operations, MinimaSettings())
    assert found.rmsd_A < 0.02
    assert found.finds_ground_state


def test_another_structure_is_not_found(relaxed, operations) -> None:
    final = relaxed[0].final
    other = final.positions_A.copy()
    other[0] += [1.0, 0.3, 0.0]
    found = recover(relaxed, [moved(final, other), final], operations, MinimaSettings())
    assert not found.finds_ground_state
    assert found.rmsd_A > 0.1
    assert found.starts_at_ground_state == 0
    assert found.nearest_A[0] == pytest.approx(found.rmsd_A)
    assert found.nearest_A[1] < 0.02


def test_failures_are_counted_with_their_reasons(vacancy, search, operations, relaxed) -> None:
    limits = search.model_copy(update={"max_steps": 1, "batch_size": 1})
    short = relax_all([nudged(vacancy, 3, 0.15)], AseSurface(EMT), limits)
    found = recover(short, [relaxed[0].final], operations, MinimaSettings())
    assert found.failures == (("step limit", 1),)
    assert (found.rmsd_A, found.nearest_A, found.finds_ground_state) == (None, (None,), False)


def test_keys_are_not_mixed(relaxed, operations) -> None:
    other = relaxed[0].final.recharged(1, origin=Origin.MINIMUM)
    with pytest.raises(SearchError, match=r"v_Cu_\+1, v_Cu_0"):
        recover(relaxed, [other], operations, MinimaSettings())
    with pytest.raises(SearchError, match="Give both"):
        recover(relaxed, [], operations, MinimaSettings())


class Charged(EMT):
    """EMT in a field that the charge feels: it reads ``info`` as charge-aware calculators do."""

    def calculate(self, atoms=None, *args, **kwargs):
        super().calculate(atoms, *args, **kwargs)
        self.results["energy"] += 0.3 * atoms.info["charge"]
        self.results["forces"] = self.results["forces"] + 0.1 * atoms.info["charge"]


def test_blindness_is_exactly_zero_and_sight_is_not(vacancy) -> None:
    assert charge_response(AseSurface(EMT), vacancy, (-2, 0, 1)) == (0.0, 0.0)
    energy, force = charge_response(AseSurface(Charged), vacancy, (-2, 0, 1))
    assert energy == pytest.approx(0.9)
    assert force == pytest.approx(0.3)


def test_a_calculator_that_raises_is_a_recorded_failure(vacancy, search) -> None:
    class Broken(EMT):
        def calculate(self, *args, **kwargs):
            raise ValueError("isolated\natom")

    (found,) = relax_all([vacancy], AseSurface(Broken), search.model_copy(update={"batch_size": 1}))
    assert found.reason == "calculation failed: ValueError: isolated atom"
    assert np.isnan(found.energy_eV)
