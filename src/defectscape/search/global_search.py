"""Starts beyond the distortions: molecular dynamics and basin hopping from known minima.

Dynamics at a high temperature crosses low barriers; quenched snapshots then fall into the basins it
visited. Basin hopping (Wales and Doye, J. Phys. Chem. A 101, 5111 (1997)) displaces the atoms around
the defect, relaxes, and accepts the new minimum by the Metropolis criterion. Both stop at the limits of
a relaxation: where the committee no longer knows the surface, they end.
"""

import logging
from collections.abc import Sequence

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.geometry import find_mic
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.minimum import Relaxation
from defectscape.files.atoms import to_atoms
from defectscape.search.guard import StoppedError, Watch
from defectscape.search.relaxation import relax_all
from defectscape.search.surface import Surface, answers
from defectscape.settings.search import DynamicsSettings, HoppingSettings, SearchSettings

logger = logging.getLogger(__name__)

FRICTION_1_FS = 0.01


def snapshots(
    minimum: Frame,
    surface: Surface,
    settings: DynamicsSettings,
    limits: SearchSettings,
    rng: np.random.Generator,
) -> tuple[Frame, ...]:
    """Snapshots of Langevin dynamics from a minimum, evenly in time, as starts.

    Args:
        minimum: where it begins; its charge decides the surface.
        surface: the energies and forces.
        settings: temperature, length, number of snapshots.
        limits: contacts, displacements and disagreement that end it early.
        rng: for velocities and noise.

    Returns:
        Fewer than asked for if it had to end.
    """
    atoms = to_atoms(minimum)
    atoms.calc = _WatchedCalculator(minimum, surface, limits)
    thermalize_momenta(atoms, temperature_K=settings.temperature_K, rng=rng)
    motion = Langevin(
        atoms,
        settings.time_step_fs * units.fs,
        temperature_K=settings.temperature_K,
        friction=FRICTION_1_FS / units.fs,
        rng=rng,
        logfile=None,
    )
    every = max(1, settings.steps // settings.snapshots)
    taken: list[Frame] = []
    try:
        for number in range(settings.snapshots):
            motion.run(every)
            time_fs = (number + 1) * every * settings.time_step_fs
            note = f"{settings.temperature_K:g} K for {time_fs:g} fs"
            taken.append(minimum.moved(atoms.positions.copy(), origin=Origin.START, note=note))
    except StoppedError as stopped:
        logger.info("%s: dynamics ended after %d snapshots: %s", minimum.key, len(taken), stopped)
    return tuple(taken)


class _WatchedCalculator(Calculator):
    """A surface for ASE's dynamics, with the limits of a relaxation that starts at ``frame``."""

    implemented_properties: list[str] = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, frame: Frame, surface: Surface, limits: SearchSettings) -> None:
        super().__init__()
        self.frame, self.surface, self.watch = frame, surface, Watch(frame, limits)

    def calculate(  # type: ignore[override]
        self,
        atoms: Atoms,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results``: eV and eV/A.

        Raises:
            StoppedError: with the reason.
        """
        super().calculate(atoms, properties or ["energy"], system_changes)
        self.watch.admit(atoms.positions)
        try:
            point = self.surface.evaluate(self.frame.moved(atoms.positions, origin=Origin.MD))
        except CalculationFailed as error:
            raise StoppedError(f"calculation failed: {' '.join(str(error).split())}") from error
        self.watch.accept(atoms.positions, point)
        energy_eV, forces_eV_A = point.energy_eV, np.array(point.forces_eV_A)
        self.results = {"energy": energy_eV, "free_energy": energy_eV, "forces": forces_eV_A}


def hop(
    minima: Sequence[Frame],
    surface: Surface,
    settings: HoppingSettings,
    limits: SearchSettings,
    centre: Floats,
    rngs: Sequence[np.random.Generator],
) -> tuple[Relaxation, ...]:
    """Basin hopping from several minima at once; charges may be mixed.

    Args:
        minima: one chain begins at each.
        surface: the energies and forces.
        settings: hops, displacements, temperature of the acceptance.
        limits: of the relaxations.
        centre: fractional coordinates of the defect, (3,).
        rngs: one for each chain, so that another chain changes nothing.

    Returns:
        Every relaxation, accepted or not; none of a chain whose minimum the surface has no value at.
    """
    places, energies_eV, rngs = _chains(minima, surface, rngs)
    found: list[Relaxation] = []
    for number in range(settings.hops):
        begin = [
            kicked(place, settings.step_A, settings.radius_A, centre, rng, f"hop {number + 1}")
            for place, rng in zip(places, rngs, strict=True)
        ]
        relaxed = relax_all(begin, surface, limits)
        found += relaxed
        for chain, (outcome, rng) in enumerate(zip(relaxed, rngs, strict=True)):
            rise_eV = outcome.energy_eV - energies_eV[chain]
            chance = rng.uniform()
            kT_eV = units.kB * settings.temperature_K
            if outcome.trusted and (rise_eV <= 0 or chance < np.exp(-rise_eV / kT_eV)):
                places[chain], energies_eV[chain] = outcome.final, outcome.energy_eV
    return tuple(found)


def _chains(
    minima: Sequence[Frame], surface: Surface, rngs: Sequence[np.random.Generator]
) -> tuple[list[Frame], list[float], list[np.random.Generator]]:
    """Where chains begin, the energies there (eV) and their random numbers; the others are logged."""
    places, energies_eV, kept = [], [], []
    for frame, point, rng in zip(minima, answers(surface, minima), rngs, strict=True):
        if isinstance(point, CalculationFailed):
            logger.warning("%s, %s: no hops from there: %s", frame.key, frame.note, point)
            continue
        places.append(frame)
        energies_eV.append(point.energy_eV)
        kept.append(rng)
    return places, energies_eV, kept


def kicked(frame: Frame, step_A: float, radius_A: float, centre: Floats, rng: np.random.Generator, note: str) -> Frame:
    """A start: the atoms within a radius of the defect displaced by a Gaussian; the others stay.

    Args:
        frame: a minimum.
        step_A: standard deviation per direction, A.
        radius_A: how far from the defect atoms are displaced, A.
        centre: fractional coordinates of the defect, (3,).
        rng: for the displacements.
        note: of the start.
    """
    _, distances = find_mic(frame.positions_A - centre @ frame.cell_A, frame.cell_A, pbc=True)
    kicks = rng.normal(0.0, step_A, frame.positions_A.shape)
    kicks[np.asarray(distances) > radius_A] = 0.0
    return frame.moved(frame.positions_A + kicks, origin=Origin.START, note=note)
