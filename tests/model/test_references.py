"""Energy references: exact on linear data, stable at -3000 eV, free of strain."""

import numpy as np
import pytest

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.model.references import fit_references

ELEMENT_eV = {"low": {48: -101.25, 52: -207.5}, "high": {48: -140.0, 52: -233.125}}
CHARGE_eV = {"low": {-1: 5.0, 0: -3.0, 2: -21.0}, "high": {-1: 7.5, 0: 1.0, 2: -19.0}}
COMPOSITIONS = ((8, 8), (7, 8), (8, 7))


def linear_item(counts: tuple[int, int], charge: int, fidelity: str, seed: int, extra_eV: float = 0.0) -> LabelledFrame:
    numbers = np.array([48] * counts[0] + [52] * counts[1])
    positions = np.random.default_rng(seed).random((len(numbers), 3)) * 10
    frame = Frame(numbers, positions, np.eye(3) * 10, DefectKey("v_Cd", charge), 1, Origin.RATTLE, "f")
    energy = counts[0] * ELEMENT_eV[fidelity][48] + counts[1] * ELEMENT_eV[fidelity][52]
    label = Label(energy + CHARGE_eV[fidelity][charge] + extra_eV, np.zeros((len(numbers), 3)))
    return LabelledFrame(frame, label, fidelity)


def linear_data(noise_eV: float, compositions=COMPOSITIONS, count: int = 4) -> list[LabelledFrame]:
    rng = np.random.default_rng(1)
    return [
        linear_item(counts, charge, fidelity, seed, noise_eV * rng.normal())
        for fidelity in ("low", "high")
        for charge in (-1, 0, 2)
        for counts in compositions
        for seed in range(count)
    ]


def test_linear_energies_are_recovered_exactly() -> None:
    references = fit_references(linear_data(0.0), ("low", "high"))
    for head, fidelity in enumerate(("low", "high")):
        assert references.element_eV[head] == pytest.approx(list(ELEMENT_eV[fidelity].values()), abs=1e-8)
        assert references.charge_eV[head] == pytest.approx(list(CHARGE_eV[fidelity].values()), abs=1e-8)


@pytest.mark.parametrize("compositions", [COMPOSITIONS, COMPOSITIONS[:1]])
def test_reference_energies_survive_noise_at_large_totals(compositions) -> None:
    # Sixty frames of 1e-3 eV noise leave an error of the mean well below 1e-3 eV, also where one
    # composition makes the regression rank deficient.
    references = fit_references(linear_data(1e-3, compositions, count=60), ("low", "high"))
    for counts in compositions:
        for charge in (-1, 0, 2):
            truth = linear_item(counts, charge, "high", 0)
            energy = references.energy_eV(truth.frame.numbers, charge, "high")
            assert truth.label.energy_eV < -2500
            assert energy == pytest.approx(truth.label.energy_eV, abs=6e-4)


def test_strain_of_the_few_high_labels_does_not_enter_the_high_reference() -> None:
    # Low: strains 0 and 2 eV, mean 1. High: only the most strained frame of each charge.
    data = []
    for charge in (-1, 0, 2):
        data.append(linear_item((8, 8), charge, "low", 0, 0.0))
        data.append(linear_item((8, 8), charge, "low", 1, 2.0))
        data.append(linear_item((8, 8), charge, "high", 1, 2.0))
    references = fit_references(data, ("low", "high"))
    for item in data[2::3]:
        reference = references.energy_eV(item.frame.numbers, item.frame.charge, "high")
        # Above its reference by what the low fidelity sees above its own: 2 - 1 eV, not 0.
        assert item.label.energy_eV - reference == pytest.approx(1.0, abs=1e-7)


def test_charge_without_high_label_has_no_high_reference() -> None:
    data = [i for i in linear_data(0.0) if i.fidelity == "low" or i.frame.charge != 2]
    references = fit_references(data, ("low", "high"))
    numbers = data[0].frame.numbers
    references.energy_eV(numbers, 2, "low")
    with pytest.raises(ModelError, match=r"charge: \+2.*trained on -1, 0 at high"):
        references.energy_eV(numbers, 2, "high")


def test_unknown_element_and_fidelity_are_refused() -> None:
    references = fit_references(linear_data(0.0), ("low", "high"))
    with pytest.raises(ModelError, match="atomic number: 34"):
        references.energy_eV(np.array([48, 34]), 0, "low")
    with pytest.raises(ModelError, match="pbe"):
        references.energy_eV(np.array([48, 52]), 0, "pbe")
    with pytest.raises(ModelError, match="'third'"):
        fit_references(linear_data(0.0), ("low", "high", "third"))
