"""Hosts and site tables shared by the sampling tests, made once (doped takes seconds)."""

from pathlib import Path

import pytest

from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.sites import enumerate_sites
from defectscape.settings.sampling import Sampling
from defectscape.settings.structure import Supercell

HOSTS = Path(__file__).parents[2] / "config" / "hosts"


@pytest.fixture(scope="session")
def cdte():
    matrix = [[2, 0, 0], [0, 2, 0], [0, 0, 1]]
    supercell = Supercell(matrix=matrix, min_image_distance_A=6.0)
    return build_host(read_unit_cell(HOSTS / "CdTe.vasp"), supercell)


@pytest.fixture(scope="session")
def cdte_sites(cdte):
    return enumerate_sites(cdte, interstitials=True, extrinsic=("As",))


@pytest.fixture(scope="session")
def sampling():
    return Sampling(
        bond_distortions=[-0.4, -0.2, 0.2, 0.4], dimers=True, start_rattle_A=0.1,
        shortest_distance_A=1.5, rattle_amplitudes_A=[0.03, 0.1], relaxed_toward=[0.5],
        test_fraction=0.2, valid_fraction=0.2,
    )  # fmt: skip
