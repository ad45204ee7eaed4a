"""The same states as doped's own objects, to be opened, plotted and carried on in doped.

doped groups entries of one type whose sites are closer than 1.5 A and takes the lower of two
entries of one charge; our defects are what the site table says. So doped's levels are taken from
one diagram per defect, and the diagram that is saved holds all of them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from defectscape.domain.energies import (
    ChemicalPotentialLimit,
    FiniteSizeCorrection,
    HostEnergies,
    StateEnergy,
)
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal, PointSite
from defectscape.files.quiet import quiet
from defectscape.files.structures import to_structure
from defectscape.files.text import write_text
from defectscape.thermo.chempots import doped_chempots
from defectscape.thermo.formation import exchanged_atoms

DOPED_CLASSES = {
    "vacancy": "Vacancy",
    "substitution": "Substitution",
    "interstitial": "Interstitial",
}


def build_diagram(
    states: Sequence[StateEnergy],
    host: HostCrystal,
    sites: Sequence[DefectSite],
    energies: HostEnergies,
    limits: Sequence[ChemicalPotentialLimit],
    corrections: Sequence[FiniteSizeCorrection],
) -> Any:
    """A ``doped.thermodynamics.DefectThermodynamics`` of all states, named by their keys.

    Args:
        states, host, sites, energies, limits: what it is made of.
        corrections: the finite-size correction of each state.

    Raises:
        ThermoError: if there are no states, a key occurs twice, a defect is not in the site table,
            or a structure has not the atoms that its site says.
    """
    keys = [state.key for state in states]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if not states or twice:
        raise ThermoError(
            "states of the diagram",
            f"{', '.join(twice)} twice" if twice else "none",
            "doped needs at least one state, and each key once",
        )
    named = {site.name: site for site in sites}
    missing = sorted({key.defect for key in keys} - set(named))
    if missing:
        raise ThermoError("site table", f"no {', '.join(missing)}", "Enumerate the sites again")
    with quiet("doped"):
        from doped.thermodynamics import DefectThermodynamics

        entries = [
            defect_entry(state, host, named[state.key.defect], energies, added)
            for state, added in zip(states, corrections, strict=True)
        ]
        diagram = DefectThermodynamics(
            entries,
            chempots=doped_chempots(limits),
            vbm=energies.vbm_eV,
            band_gap=energies.gap_eV,
        )
    if set(diagram.defect_entries) != {str(key) for key in keys}:
        raise ThermoError(
            "doped's names of the states",
            ", ".join(diagram.defect_entries),
            f"They should be {', '.join(map(str, keys))}: this doped renames entries; "
            "install the version that this package requires",
        )
    return diagram


def doped_levels_eV(diagram: Any) -> dict[tuple[str, int, int], float]:
    """Thermodynamic levels as doped computes them, by (defect, upper, lower charge), eV.

    doped looks 1 eV beyond either band edge and no further, so levels beyond that are absent.
    """
    groups: dict[str, list[Any]] = {}
    for name, entry in diagram.defect_entries.items():
        groups.setdefault(DefectKey.parse(name).defect, []).append(entry)
    levels: dict[tuple[str, int, int], float] = {}
    with quiet("doped"):
        for defect, entries in groups.items():
            single = type(diagram)(entries, vbm=diagram.vbm, band_gap=diagram.band_gap, check_compatibility=False)
            for level_map in single.transition_level_map.values():
                for value, (upper, lower) in level_map.items():
                    levels[defect, int(upper), int(lower)] = float(value)
    return levels


def save_diagram(diagram: Any, path: Path) -> None:
    """Write the diagram as JSON that ``DefectThermodynamics.from_json`` reads; atomic."""
    from monty.json import MontyEncoder

    with quiet("doped"):
        text = json.dumps(diagram, cls=MontyEncoder)
    write_text(path, text)


def defect_entry(
    state: StateEnergy,
    host: HostCrystal,
    site: DefectSite,
    energies: HostEnergies,
    correction: FiniteSizeCorrection,
) -> Any:
    """A state as doped's ``DefectEntry``."""
    from doped.core import DefectEntry
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    _check_atoms(state, host, site)
    frame = state.frame
    bulk = to_structure(host.numbers, host.positions_A, host.cell_A)
    structure = to_structure(frame.numbers, frame.positions_A, frame.cell_A)
    defect, place = _defect(bulk, host, site)
    degeneracies = {"spin degeneracy": float(state.spin_degeneracy or 1)}
    if state.degeneracy is not None:
        degeneracies["orientational degeneracy"] = float(state.degeneracy)
    return DefectEntry(
        defect=defect,
        charge_state=state.key.charge,
        sc_entry=ComputedStructureEntry(structure, state.energy_eV, entry_id=str(state.key)),
        bulk_entry=ComputedStructureEntry(bulk, energies.bulk_energy_eV, entry_id="host"),
        corrections={} if correction.label == "none" else {correction.label: correction.value_eV},
        sc_defect_frac_coords=site.frac_coords,
        defect_supercell=structure,
        defect_supercell_site=place,
        bulk_supercell=bulk,
        degeneracy_factors=degeneracies,
        calculation_metadata={
            "vbm": energies.vbm_eV,
            "band_gap": energies.gap_eV,
            "bulk_site": place,
            **(_symmetries(state) if site.partners else {}),
        },
        name=str(state.key),
    )


def _defect(bulk: Any, host: HostCrystal, site: DefectSite) -> tuple[Any, Any]:
    """doped's defect, which lives in the supercell, and the site of it."""
    cells = len(host.numbers) // _primitive_atoms(host)
    if not site.partners:
        return _point_defect(bulk, site, cells)
    from defectscape.thermo.doped_pair import DopedPair

    pair = DopedPair([_point_defect(bulk, point, cells)[0] for point in site.partners], site.multiplicity * cells)
    return pair, pair.site


def _point_defect(bulk: Any, site: PointSite, cells: int) -> tuple[Any, Any]:
    """doped's point defect in a supercell of so many primitive cells, and the site of it."""
    from doped import core
    from pymatgen.core.sites import PeriodicSite

    place = PeriodicSite(site.added or site.removed or "", site.frac_coords, bulk.lattice)
    kind = getattr(core, DOPED_CLASSES[site.kind])
    defect = kind(
        structure=bulk,
        site=place,
        multiplicity=site.multiplicity * cells,
        # neither guessed nor used: charge states are given
        oxi_state="Undetermined",
        equivalent_sites=[],
    )
    return defect, place


def _symmetries(state: StateEnergy) -> dict[str, str]:
    """Point groups under doped's names: it cannot find those of a pair, and looks for what is not there."""
    unrelaxed, relaxed = state.point_groups or ("unknown", "unknown")
    return {"bulk site symmetry": unrelaxed, "relaxed point symmetry": relaxed}


def _primitive_atoms(host: HostCrystal) -> int:
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    unit = to_structure(host.unit_numbers, host.unit_positions_A, host.unit_cell_A)
    return len(SpacegroupAnalyzer(unit).find_primitive())


def _check_atoms(state: StateEnergy, host: HostCrystal, site: DefectSite) -> None:
    expected = site.changes
    if exchanged_atoms(state, host) != expected:
        raise ThermoError(
            f"atoms of {state.key}",
            exchanged_atoms(state, host),
            f"The site table says {expected} against the host; use the site's own frames",
        )
