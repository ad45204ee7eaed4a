"""Hosts and dopants with open d or f shells wait for a word on their spin; closed shells need none."""

import numpy as np
import pytest
from pydantic import ValidationError
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import HostError
from defectscape.domain.site import HostCrystal
from defectscape.sampling.host import build_host
from defectscape.sampling.open_shells import added_atoms, check_host_spin, open_shell_ions
from defectscape.settings.structure import HostSettings, SupercellSettings
from support.mistakes import mistake

CLOSED = (
    "CdTe ZnO GaAs Si Sb2Se3 MgO CuI Cu2O CuInSe2 Cu2ZnSnS4 CuSbS2 AgCl Cs2AgBiBr6 TiO2 SrTiO3 LiNbO3 V2O5 BiVO4 "
    "WO3 MoO3 ZrO2 HfO2 Y2O3 ScN La2O3 CeO2 YbO ThO2 HgTe CsPbI3 Lu2O3"
)
OPEN = (
    "NiO CuO MnO FeO CoO Cr2O3 Ti2O3 TiN Fe3O4 VO2 FeS2 MoS2 CrI3 LiFePO4 GdN EuO Ce2O3 Er2O3 UO2 CuCl2 AgF2 RuO2 "
    "TiNiSn"
)


def numbers_of(formula: str) -> np.ndarray:
    composition = Composition(formula)
    return np.concatenate([np.full(round(amount), element.Z) for element, amount in composition.items()])


def rock_salt(cation: str, repeats: int = 1) -> HostCrystal:
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), [cation, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    matrix = [[repeats, 0, 0], [0, 1, 0], [0, 0, 1]]
    return build_host(structure, SupercellSettings(matrix=matrix, min_image_distance_A=3.0))


@pytest.mark.parametrize("formula", CLOSED.split())
def test_closed_shells_need_no_word(formula: str) -> None:
    assert open_shell_ions(numbers_of(formula)) == ()


@pytest.mark.parametrize("formula", OPEN.split())
def test_open_shells_are_named(formula: str) -> None:
    assert open_shell_ions(numbers_of(formula))


def test_the_ion_is_said_with_its_electrons() -> None:
    assert open_shell_ions(numbers_of("NiO")) == ("Ni2+ (d8)",)
    assert open_shell_ions(numbers_of("GdN")) == ("Gd3+ (f7)",)


def test_nickel_oxide_is_refused_with_thing_value_and_remedy() -> None:
    with pytest.raises(HostError, match=r"spin of NiO: open shells: Ni2\+ \(d8\).*host.multiplicity: 1") as caught:
        check_host_spin(rock_salt("Ni"), None)
    check_host_spin(rock_salt("Ni"), 1)
    mistake(
        "hosts",
        "NiO, Cr2O3, CuO, GdN as host",
        said=caught.value,
        when="check, run",
        right="`host.multiplicity: 1` if low spin; magnetic hosts are not computed",
    )
    for formula in ("TiO2", "Cu2O", "ZnO", "CeO2"):
        assert open_shell_ions(numbers_of(formula)) == ()
    mistake("hosts", "TiO2, Cu2O, ZnO, CeO2 as host", said="", when="check, run", right="a singlet: d0, d10, d10, f0")


def test_a_dopant_with_an_open_shell_is_refused() -> None:
    host = rock_salt("Mg")
    check_host_spin(host, None, added_atoms(["v_O", "i_Mg_1", "Zn_Mg", "Cu_Mg"]))
    with pytest.raises(HostError, match="added Fe") as caught:
        check_host_spin(host, None, added_atoms(["v_O", "Fe_Mg"]))
    mistake("hosts", "defect that adds Ti, Fe, Gd, ...", said=caught.value, when="check, run")
    with pytest.raises(HostError, match="added Ti"):
        check_host_spin(host, None, added_atoms(["i_Ti_2"]))


def test_a_host_with_moments_cannot_be_stated() -> None:
    with pytest.raises(ValidationError, match="1 states that its electrons are paired"):
        HostSettings.model_validate(
            {"file": "x", "supercell": {"min_image_distance_A": 8.0}, "relax": "none", "multiplicity": 3}
        )
