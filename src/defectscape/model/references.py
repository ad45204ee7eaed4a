r"""Energy references: the large, structure-blind part of a supercell energy.

A raw energy is thousands of eV, shifts by some 100 eV between levels of theory and by some 10 eV
per electron; what the network is to learn is a few eV. For fidelity *f*, charge *q* and a
composition of :math:`n_{el}` atoms of each element the reference is

.. math:: E_\mathrm{ref}(f, q, n) = \sum_{el} n_{el}\, e_{el}(f) + c(f, q)

with :math:`e` and :math:`c` of one fidelity regressed together, in float64, by least squares over
the training frames. A study has few compositions, so the design matrix is rank deficient (one
composition: only its sum is determined); the minimum-norm solution is taken. The references are
then exact for the compositions trained on, and a gauge choice, not physics, for any other.

The high fidelity has few frames, and its mean per charge would absorb the strain of the few
structures that happen to be labelled. So where a structure is labelled at both fidelities, what the
low-fidelity energy lies above its own reference is taken off the high-fidelity energy before the
regression: :math:`E_\mathrm{high} - [E_\mathrm{low} - E_\mathrm{ref,low}]`. The strain cancels, as
far as the two levels of theory agree on it, and both heads learn the same kind of number.

Two defects do not share the constants of their charges: where their levels lie in the gap is what tells them apart, and
it is tenths of an eV. Where it is asked for, a composition has constants of its own beside them,

.. math:: E_\mathrm{ref}(f, q, n) = \sum_{el} n_{el}\, e_{el}(f) + c(f, q) + d(f, q, n)

with :math:`d` the mean of what the rest leaves, zero for a composition that was not trained on. Structures of one
composition and charge lie on one energy surface, so no difference between them is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Floats, Frame, Ints
from defectscape.domain.keys import format_charge
from defectscape.domain.label import LabelledFrame


@dataclass(frozen=True, eq=False)
class EnergyReferences:
    """The references of a model.

    Attributes:
        fidelities: names, low first; the first axis of both arrays.
        elements: atomic numbers, ascending; the second axis of ``element_eV``.
        charges: charges trained on, ascending, units of e; the second axis of ``charge_eV``.
        element_eV: energy per atom of each element, shape (fidelities, elements), eV.
        charge_eV: energy per charge state, shape (fidelities, charges), eV; NaN where that
            fidelity has no training frame of that charge.
        compositions: atoms of each element, of each composition that has constants of its own.
        composition_eV: these constants, shape (fidelities, compositions, charges), eV; 0 where that fidelity has
            no training frame of them.
    """

    fidelities: tuple[str, ...]
    elements: tuple[int, ...]
    charges: tuple[int, ...]
    element_eV: Floats
    charge_eV: Floats
    compositions: tuple[tuple[int, ...], ...] = ()
    composition_eV: Floats = field(default_factory=lambda: np.zeros((0, 0, 0)))

    def energy_eV(self, numbers: Ints, charge: int, fidelity: str) -> float:
        """Reference energy of ``numbers`` (n,) in ``charge`` (e) at ``fidelity``, eV.

        Raises:
            ModelError: for a fidelity, charge or element without training frames.
        """
        if fidelity not in self.fidelities:
            known = ", ".join(self.fidelities)
            raise ModelError("fidelity", repr(fidelity), f"The model has {known}")
        head = self.fidelities.index(fidelity)
        known_charges = [q for q, c in zip(self.charges, self.charge_eV[head], strict=True) if np.isfinite(c)]
        if charge not in known_charges:
            known = ", ".join(map(format_charge, known_charges))
            remedy = f"The model was trained on {known} at {fidelity}; label and train this one too"
            raise ModelError("charge", format_charge(charge), remedy)
        counts, column = count_elements(numbers, self.elements), self.charges.index(charge)
        constant = self.charge_eV[head, column]
        composition = tuple(counts.astype(int).tolist())
        if composition in self.compositions:
            constant += self.composition_eV[head, self.compositions.index(composition), column]
        return float(counts @ self.element_eV[head] + constant)


def count_elements(numbers: Ints, elements: tuple[int, ...]) -> Floats:
    """Atoms of each of ``elements`` among ``numbers`` (n,): shape (elements,).

    Raises:
        ModelError: if an atom is of none of them.
    """
    strange = sorted(set(np.asarray(numbers).tolist()) - set(elements))
    if strange:
        remedy = f"The model was trained on atomic numbers {list(elements)}; label and train it too"
        raise ModelError("element with atomic number", strange[0], remedy)
    return np.array([np.count_nonzero(numbers == z) for z in elements], dtype=np.float64)


def fit_references(
    data: Sequence[LabelledFrame],
    fidelities: tuple[str, ...],
    *,
    elements: tuple[int, ...] | None = None,
    per_composition: bool = False,
) -> EnergyReferences:
    """Regress the references of the module's equations over training frames.

    Args:
        data: training frames of all fidelities.
        fidelities: names, low first.
        elements: atomic numbers the references are for, ascending; None for those of the data.
        per_composition: whether each composition has constants of its own, where there are several.

    Raises:
        ModelError: if a fidelity has no frame, or one has an atom of another element.
    """
    found = tuple(sorted({int(z) for item in data for z in item.frame.numbers}))
    elements = found if elements is None else elements
    charges = tuple(sorted({item.frame.charge for item in data}))
    element_eV = np.zeros((len(fidelities), len(elements)))
    charge_eV = np.full((len(fidelities), len(charges)), np.nan)
    compositions = _compositions(data, elements) if per_composition else ()
    composition_eV = np.zeros((len(fidelities), len(compositions), len(charges)))
    excess: dict[str, float] = {}
    for head, fidelity in enumerate(fidelities):
        items = [item for item in data if item.fidelity == fidelity]
        if not items:
            raise ModelError("fidelity", repr(fidelity), "It has no training frame; label some")
        targets = _without_strain(items, excess)
        fitted = _regress(targets, elements, charges, compositions)
        element_eV[head], charge_eV[head], composition_eV[head] = fitted
        known = EnergyReferences(fidelities, elements, charges, element_eV, charge_eV, compositions, composition_eV)
        for item in items:
            frame = item.frame
            reference = known.energy_eV(frame.numbers, frame.charge, fidelity)
            excess.setdefault(frame.geometry_hash, item.label.energy_eV - reference)
    for array in (element_eV, charge_eV, composition_eV):
        array.setflags(write=False)
    return EnergyReferences(fidelities, elements, charges, element_eV, charge_eV, compositions, composition_eV)


def _compositions(data: Sequence[LabelledFrame], elements: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """All compositions, atoms of each element; none where there is only one, whose charges' constants say it all."""
    found = {np.sort(item.frame.numbers).tobytes(): item.frame.numbers for item in data}
    rows = sorted(tuple(count_elements(numbers, elements).astype(int).tolist()) for numbers in found.values())
    return tuple(rows) if len(rows) > 1 else ()


def add_references(low: EnergyReferences, added: EnergyReferences) -> EnergyReferences:
    """References of a delta model: the low fidelity's, and the sums with what the high one adds.

    Both are of one fidelity and of the same elements; a charge has a sum where both know it.
    """
    charges = tuple(sorted({*low.charges, *added.charges}))
    table = np.full((2, len(charges)), np.nan)
    table[0, [charges.index(charge) for charge in low.charges]] = low.charge_eV[0]
    table[1, [charges.index(charge) for charge in added.charges]] = added.charge_eV[0]
    table[1] += table[0]
    elements = np.stack([low.element_eV[0], low.element_eV[0] + added.element_eV[0]])
    compositions = tuple(sorted({*low.compositions, *added.compositions}))
    own = np.zeros((2, len(compositions), len(charges)))
    for head, part in enumerate((low, added)):
        rows = [compositions.index(composition) for composition in part.compositions]
        if rows:
            own[head, np.array(rows)[:, None], [charges.index(charge) for charge in part.charges]] = (
                part.composition_eV[0]
            )
    own[1] += own[0]
    fidelities = (*low.fidelities, *added.fidelities)
    return EnergyReferences(fidelities, low.elements, charges, elements, table, compositions, own)


def _without_strain(items: Sequence[LabelledFrame], excess: dict[str, float]) -> list[tuple[Frame, float]]:
    """(frame, energy less the strain the lower fidelity saw), pairs only where a state has any."""

    def state(frame: Frame) -> tuple[int, bytes]:
        return frame.charge, np.sort(frame.numbers).tobytes()

    paired = {state(item.frame) for item in items if item.frame.geometry_hash in excess}
    targets = []
    for item in items:
        strain = excess.get(item.frame.geometry_hash)
        if strain is not None:
            targets.append((item.frame, item.label.energy_eV - strain))
        elif state(item.frame) not in paired:
            targets.append((item.frame, item.label.energy_eV))
    return targets


def _regress(
    targets: Sequence[tuple[Frame, float]],
    elements: tuple[int, ...],
    charges: tuple[int, ...],
    compositions: tuple[tuple[int, ...], ...],
) -> tuple[Floats, Floats, Floats]:
    """One fidelity: energies (elements,), constants (charges,) with NaN where unseen, those of the compositions."""
    counts = np.array([count_elements(frame.numbers, elements) for frame, _ in targets])
    columns = np.array([charges.index(frame.charge) for frame, _ in targets])
    energies = np.array([energy for _, energy in targets])
    element, charge = solve_constants(counts, columns, energies, len(charges))
    left = energies - counts @ element - charge[columns]
    own = composition_constants(counts, columns, left, compositions, len(charges))
    return element, np.where(np.bincount(columns, minlength=len(charges)) > 0, charge, np.nan), own


def composition_constants(
    counts: Floats,
    columns: Ints,
    left_eV: Floats,
    compositions: Sequence[tuple[int, ...]],
    width: int,
    weights: Floats | None = None,
) -> Floats:
    """Mean of what ``solve_constants`` leaves, composition by composition and charge by charge.

    Args:
        counts, columns, width, weights: as there.
        left_eV: what it leaves, shape (m,), eV.
        compositions: atoms of each element.

    Returns:
        Shape (compositions, width), eV; 0 where there is no energy, and for compositions that are not listed.
    """
    table, total = np.zeros((2, len(compositions), width))
    weights = np.ones(len(left_eV)) if weights is None else weights
    rows = {composition: row for row, composition in enumerate(compositions)}
    for count, column, energy_eV, weight in zip(counts.astype(int).tolist(), columns, left_eV, weights, strict=True):
        row = rows.get(tuple(count))
        if row is not None:
            table[row, column] += weight * energy_eV
            total[row, column] += weight
    return np.divide(table, total, out=np.zeros_like(table), where=total > 0)


def solve_constants(
    counts: Floats,
    columns: Ints,
    energies_eV: Floats,
    width: int,
    weights: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Minimum-norm least squares of the module's equation for one fidelity.

    Args:
        counts: atoms of each element, shape (m, elements).
        columns: which charge each energy belongs to, shape (m,), from 0 to ``width`` - 1.
        energies_eV: shape (m,), eV.
        width: number of charges.
        weights: of the squared residuals, shape (m,); None for all alike.

    Returns:
        Energies per atom (elements,) and constants (width,), eV.
    """
    design = np.hstack([counts, np.eye(width)[columns]])
    root = np.ones(len(energies_eV)) if weights is None else np.sqrt(weights)
    found = np.linalg.lstsq(design * root[:, None], energies_eV * root, rcond=1e-10)[0]
    solution = np.asarray(found, dtype=np.float64)
    elements = counts.shape[1]
    return solution[:elements], solution[elements:]
