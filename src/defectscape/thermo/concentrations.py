"""Concentrations of defects and carriers, and the Fermi level that makes them neutral, through doped.

Defects form in equilibrium at an annealing temperature. Quenched to the temperature of use their numbers
stay, while charge states, carriers and the Fermi level find a new balance. Source: J. Buckeridge, Comput.
Phys. Commun. 244, 329 (2019); doped's ``get_fermi_level_and_concentrations``.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.files.quiet import quiet
from defectscape.settings.thermo import ConcentrationsSettings

UNCERTAINTY = "one standard deviation"


@dataclass(frozen=True)
class StateConcentration:
    """One charge state.

    Attributes:
        key: defect and charge.
        annealing_cm3, operating_cm3: concentration while annealed and after quenching, cm^-3.
        operating_std_log10: standard deviation of the decimal logarithm of the latter.
    """

    key: DefectKey
    annealing_cm3: float
    operating_cm3: float
    operating_std_log10: float


@dataclass(frozen=True)
class Equilibrium:
    """One limit annealed at one temperature, then quenched.

    Attributes:
        limit: chemical potential limit.
        annealing_K, operating_K: temperatures, K.
        annealing_fermi_eV, operating_fermi_eV: Fermi level above the VBM, eV.
        annealing_fermi_std_eV, operating_fermi_std_eV: one standard deviation, from those of the
            formation energies, taken as independent, eV.
        electrons_cm3, holes_cm3: carriers after quenching, cm^-3.
        states: all charge states.
    """

    limit: str
    annealing_K: float
    operating_K: float
    annealing_fermi_eV: float
    annealing_fermi_std_eV: float
    operating_fermi_eV: float
    operating_fermi_std_eV: float
    electrons_cm3: float
    holes_cm3: float
    states: tuple[StateConcentration, ...]


@dataclass(frozen=True)
class _Solution:
    annealing_fermi_eV: float
    fermi_eV: float
    electrons_cm3: float
    holes_cm3: float
    annealing_cm3: Mapping[DefectKey, float]
    operating_cm3: Mapping[DefectKey, float]


def equilibria(
    diagram: Any,
    limits: Sequence[str],
    bulk_dos: Any,
    settings: ConcentrationsSettings,
    uncertainties_eV: Mapping[DefectKey, float],
) -> tuple[Equilibrium, ...]:
    """Every limit at every annealing temperature.

    Args:
        diagram: a ``DefectThermodynamics`` whose entries are named by their keys.
        limits: names of its chemical potential limits.
        bulk_dos: a ``FermiDos`` of the host.
        settings: temperatures and dopants.
        uncertainties_eV: one standard deviation of each state's formation energy, eV. Each is added in
            turn and everything solved again: error bars without any linearisation of the exponentials.

    Raises:
        ThermoError: if doped finds no Fermi level.
    """
    shifted = [
        _raised(diagram, key, uncertainty_eV) for key, uncertainty_eV in uncertainties_eV.items() if uncertainty_eV > 0
    ]
    return tuple(
        _equilibrium(diagram, shifted, limit, bulk_dos, annealing_K, settings)
        for limit in limits
        for annealing_K in settings.annealing_K
    )


def _equilibrium(
    diagram: Any,
    shifted_diagrams: Sequence[Any],
    limit: str,
    bulk_dos: Any,
    annealing_K: float,
    settings: ConcentrationsSettings,
) -> Equilibrium:
    best = _solve(diagram, limit, bulk_dos, annealing_K, settings)
    shifted = [_solve(other, limit, bulk_dos, annealing_K, settings) for other in shifted_diagrams]
    return Equilibrium(
        limit,
        annealing_K,
        settings.operating_K,
        best.annealing_fermi_eV,
        _norm([other.annealing_fermi_eV - best.annealing_fermi_eV for other in shifted]),
        best.fermi_eV,
        _norm([other.fermi_eV - best.fermi_eV for other in shifted]),
        best.electrons_cm3,
        best.holes_cm3,
        tuple(
            StateConcentration(
                key,
                best.annealing_cm3[key],
                value,
                _norm([_log10(other.operating_cm3[key]) - _log10(value) for other in shifted]),
            )
            for key, value in best.operating_cm3.items()
        ),
    )


def _solve(diagram: Any, limit: str, bulk_dos: Any, annealing_K: float, settings: ConcentrationsSettings) -> _Solution:
    with quiet("doped"):
        try:
            fermi, electrons, holes, table, annealing_fermi, _, _, annealing = (
                diagram.get_fermi_level_and_concentrations(
                    bulk_dos,
                    annealing_temperature=annealing_K,
                    quenched_temperature=settings.operating_K,
                    limit=limit,
                    skip_formatting=True,
                    return_annealing_values=True,
                    effective_dopant_concentration=settings.dopant_cm3 or None,
                )
            )
        except (ValueError, RuntimeError) as error:
            raise ThermoError(
                f"Fermi level at {annealing_K:g} K, {limit}",
                str(error).splitlines()[0],
                "Look at the formation energies and the bands; no Fermi level makes this neutral",
            ) from error
    return _Solution(
        float(annealing_fermi),
        float(fermi),
        float(electrons),
        float(holes),
        _by_key(diagram, annealing),
        _by_key(diagram, table),
    )


def _by_key(diagram: Any, table: Any) -> dict[DefectKey, float]:
    """Concentrations of our keys from doped's table, whose index is (defect, charge)."""
    rows = table.reset_index()
    found = {
        (str(name), round(float(charge))): float(value)
        for name, charge, value in zip(rows["Defect"], rows["Charge"], rows["Concentration (cm^-3)"], strict=True)
    }
    keys = [DefectKey.parse(name) for name in diagram.defect_entries]
    missing = [str(key) for key in keys if (key.defect, key.charge) not in found]
    if missing:
        raise ThermoError(
            "doped's concentrations",
            f"none of {', '.join(missing)}",
            "doped grouped defects that this study tells apart; set concentrations for one of them",
        )
    return {key: found[key.defect, key.charge] for key in keys}


def _raised(diagram: Any, key: DefectKey, by_eV: float) -> Any:
    """The diagram with one state higher in energy."""
    with quiet("doped"):
        entries = []
        for name, entry in diagram.defect_entries.items():
            raised = copy(entry)
            if name == str(key):
                raised.corrections = {**entry.corrections, UNCERTAINTY: by_eV}
            entries.append(raised)
        return type(diagram)(
            entries,
            chempots=diagram.chempots,
            vbm=diagram.vbm,
            band_gap=diagram.band_gap,
            check_compatibility=False,
        )


def _norm(values: Sequence[float]) -> float:
    return float(np.linalg.norm(values)) if values else 0.0


def _log10(value: float) -> float:
    return float(np.log10(max(value, 1e-300)))
