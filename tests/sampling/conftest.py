"""Hosts and site tables shared by the sampling tests, made once (doped takes seconds)."""

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.sampling.host import build_host
from defectscape.sampling.sites import enumerate_sites
from defectscape.settings.sampling import SamplingSettings
from defectscape.settings.structure import SupercellSettings

LATTICE_A = 6.62


@pytest.fixture(scope="session")
def cdte():
    matrix = [[2, 0, 0], [0, 2, 0], [0, 0, 1]]
    supercell = SupercellSettings(matrix=matrix, min_image_distance_A=6.0)
    zincblende = Structure.from_spacegroup("F-43m", Lattice.cubic(LATTICE_A), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3])
    return build_host(zincblende, supercell)


@pytest.fixture(scope="session")
def cdte_sites(cdte):
    return enumerate_sites(cdte, interstitials=True, extrinsic=("As",))


@pytest.fixture(scope="session")
def sampling():
    return SamplingSettings(
        bond_distortions=[-0.4, -0.2, 0.2, 0.4],
        dimers=True,
        start_rattle_A=0.1,
        shortest_distance_A=1.5,
        rattle_amplitudes_A=[0.03, 0.1],
        relaxed_toward=[0.5],
        test_fraction=0.2,
        valid_fraction=0.2,
    )
