"""Starts beyond the distortions: what molecular dynamics and basin hopping find from known minima.

Dynamics at a high temperature crosses barriers that are low; quenched snapshots fall into the basins it
visited. Basin hopping (Wales and Doye, J. Phys. Chem. A 101, 5111 (1997)) kicks the atoms around the
defect, relaxes, and goes on from where it came to by Metropolis' rule. Both are watched like any
relaxation: where the committee no longer knows the surface, they end.
"""

import logging
from collections.abc import Sequence

import numpy as np
from ase import units
from ase.geometry import find_mic
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.minimum import Relaxation
from defectscape.files.atoms import to_atoms
from defectscape.search.batches import relax_all
from defectscape.search.guard import Guard, StoppedError, Watch
from defectscape.search.surface import Surface
from defectscape.settings.search import Dynamics, Hopping, Search

logger = logging.getLogger(__name__)

FRICTION_1_FS = 0.01


def snapshots(
    minimum: Frame, surface: Surface, settings: Dynamics, limits: Search, rng: np.random.Generator
) -> tuple[Frame, ...]:
    """Snapshots of Langevin dynamics from a minimum, evenly in time, as starts.

    Args:
        minimum: where it begins; its charge decides the surface.
        surface: the energies.
        settings: temperature, length, how many.
        limits: contacts, displacements and disagreement that end it early.
        rng: for velocities and noise.

    Returns:
        Fewer than asked for if it had to end.
    """
    watch = Watch(minimum, limits)
    atoms = to_atoms(minimum)
    atoms.calc = Guard(surface.calculator(minimum.charge), watch)
    MaxwellBoltzmannDistribution(atoms, temperature_K=settings.temperature_K, rng=rng)
    motion = Langevin(
        atoms, settings.time_step_fs * units.fs, temperature_K=settings.temperature_K,
        friction=FRICTION_1_FS / units.fs, rng=rng, logfile=None,
    )  # fmt: skip
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


def hop(
    minima: Sequence[Frame],
    surface: Surface,
    settings: Hopping,
    limits: Search,
    centre: Floats,
    rngs: Sequence[np.random.Generator],
) -> tuple[Relaxation, ...]:
    """Basin hopping from several minima at once; charges may be mixed.

    Args:
        minima: one chain begins at each.
        surface: the energies.
        settings: hops, kicks, temperature of the acceptance.
        limits: of the relaxations.
        centre: fractional coordinates of the defect, (3,).
        rngs: one for each chain, so that another chain changes nothing.

    Returns:
        Every relaxation, accepted or not.
    """
    energies = [surface.evaluate(frame).energy_eV for frame in minima]
    places = list(minima)
    found: list[Relaxation] = []
    for number in range(settings.hops):
        kicked = [
            _kicked(place, settings, centre, rng, f"hop {number + 1}")
            for place, rng in zip(places, rngs, strict=True)
        ]
        relaxed = relax_all(kicked, surface, limits)
        found += relaxed
        for chain, (outcome, rng) in enumerate(zip(relaxed, rngs, strict=True)):
            rise_eV = outcome.energy_eV - energies[chain]
            chance = rng.uniform()
            kT_eV = units.kB * settings.temperature_K
            if outcome.trusted and (rise_eV <= 0 or chance < np.exp(-rise_eV / kT_eV)):
                places[chain], energies[chain] = outcome.final, outcome.energy_eV
    return tuple(found)


def _kicked(
    frame: Frame, settings: Hopping, centre: Floats, rng: np.random.Generator, note: str
) -> Frame:
    """A Gaussian kick of the atoms within the radius; the others stay."""
    _, distances = find_mic(frame.positions_A - centre @ frame.cell_A, frame.cell_A, pbc=True)
    kicks = rng.normal(0.0, settings.step_A, frame.positions_A.shape)
    kicks[np.asarray(distances) > settings.radius_A] = 0.0
    return frame.moved(frame.positions_A + kicks, origin=Origin.START, note=note)
