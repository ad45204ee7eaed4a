"""Configuration-coordinate diagrams: their path, curves, the engine's points that correct them, capture along them."""

from dataclasses import replace
from math import exp, lgamma, log, pi

import numpy as np
import pytest
from ase.data import atomic_masses
from scipy import constants

from defectscape.domain.errors import ThermoError
from defectscape.domain.frame import Floats, Origin
from defectscape.thermo.capture import (
    HBAR_EV_S,
    CaptureCurves,
    capture_coefficient_cm3_s,
    lowest_crossing_eV,
    sommerfeld_factor,
)
from defectscape.thermo.ccd import PHONON_EV, fit_minimum, trace_ccd
from defectscape.thermo.ccd_correction import corrected, correction_eV, left_out_rms_eV
from defectscape.thermo.path import check_order, configuration_path, path_fractions
from defectscape.thermo.vibrations import vibrational_quantum_eV

# Configuration-coordinate diagrams: their path, their curves, and the engine's points that correct them.


# Configuration-coordinate diagrams against displaced harmonic oscillators and a Morse curve.


THZ_IN_EV = constants.h * 1e12 / constants.e  # 4.1357 meV


@pytest.fixture
def path(vacancy):
    initial = vacancy(0)
    positions = initial.positions_A.copy()
    positions[5] += [0.4, 0.3, 0.1]
    final = vacancy(-1).moved(positions, origin=Origin.MINIMUM)
    return configuration_path(initial, final, points=9, extend=0.4)


def spring(omega_rad_s):
    """Force constant of an angular frequency, eV/(amu A^2), from SI constants alone."""
    return omega_rad_s**2 * constants.atomic_mass * 1e-20 / constants.e


def oscillators(path, k_initial, k_final, height_initial=-180.0, height_final=-177.0):
    coordinate = {f.frame_id: q for f, q in zip(path.frames_initial, path.Q_amu05_A, strict=True)}
    coordinate |= {f.frame_id: q for f, q in zip(path.frames_final, path.Q_amu05_A, strict=True)}

    def energy(frame):
        q = coordinate[frame.frame_id]
        if frame.charge == 0:
            return height_initial + 0.5 * k_initial * q**2
        return height_final + 0.5 * k_final * (q - path.dQ_amu05_A) ** 2

    return energy


def test_phonon_energy_of_a_known_frequency():
    omega = 2 * np.pi * 5e12
    assert PHONON_EV * np.sqrt(spring(omega)) == pytest.approx(5 * THZ_IN_EV, rel=1e-9)
    # hbar omega = 64.65 meV at 1 eV/(amu A^2)
    assert pytest.approx(0.06465, abs=1e-5) == PHONON_EV


def test_displaced_oscillators_give_back_their_frequencies_and_huang_rhys_factors(path):
    omegas = 2 * np.pi * np.array([3e12, 4e12])
    springs = [spring(omega) for omega in omegas]
    ccd = trace_ccd(path, oscillators(path, *springs), dE_eV=-0.4)
    for fit, omega, k in zip((ccd.fit_initial, ccd.fit_final), omegas, springs, strict=True):
        relaxation = 0.5 * k * path.dQ_amu05_A**2
        phonon = constants.hbar * omega / constants.e
        assert fit.phonon_energy_eV == pytest.approx(phonon, rel=1e-6)
        assert fit.relaxation_energy_eV == pytest.approx(relaxation, rel=1e-9)
        assert fit.huang_rhys == pytest.approx(relaxation / phonon, rel=1e-6)
        # S = omega dQ^2 / (2 hbar), in SI
        dq = path.dQ_amu05_A * np.sqrt(constants.atomic_mass) * 1e-10
        assert fit.huang_rhys == pytest.approx(omega * dq**2 / (2 * constants.hbar), rel=1e-6)
        assert fit.anharmonic is False
        assert fit.rms_eV == pytest.approx(0, abs=1e-9)
    assert ccd.fit_initial.minimum_amu05_A == pytest.approx(0, abs=1e-6)
    assert ccd.fit_final.minimum_amu05_A == pytest.approx(path.dQ_amu05_A, rel=1e-6)


def test_curves_hang_at_their_ground_states_whatever_the_raw_energies(path):
    ks = (0.05, 0.07)
    first = trace_ccd(path, oscillators(path, *ks), dE_eV=-0.4)
    second = trace_ccd(path, oscillators(path, *ks, -1e4, 3.0), dE_eV=-0.4)
    start, end = (int(np.flatnonzero(path.fractions == x)[0]) for x in (0.0, 1.0))
    assert first.energies_initial_eV[start] == 0.0
    assert first.energies_final_eV[end] == pytest.approx(-0.4)
    assert first.energies_initial_eV == pytest.approx(second.energies_initial_eV, abs=1e-9)
    assert first.energies_final_eV == pytest.approx(second.energies_final_eV, abs=1e-9)


def test_quartic_curve_is_flagged_and_a_soft_one_has_no_phonon():
    q = np.linspace(-0.4, 1.4, 9)
    quartic = fit_minimum(q, np.abs(q) ** 4, int(np.argmin(np.abs(q))), 7)
    assert quartic.anharmonic
    down = fit_minimum(q, -(q**2), 2, 6)
    assert down.anharmonic
    assert down.phonon_energy_eV is None
    assert down.huang_rhys is None


def test_morse_curve_gives_its_harmonic_frequency_near_the_minimum():
    depth, width, k = 3.0, 0.4, 2 * 3.0 * 0.4**2
    q = np.linspace(-0.4, 1.4, 19) * 0.3
    curve = depth * (1 - np.exp(-width * q)) ** 2
    fit = fit_minimum(q, curve, 4, 14)
    assert fit.phonon_energy_eV == pytest.approx(PHONON_EV * np.sqrt(k), rel=0.05)
    assert fit.anharmonic is False


def test_three_points_fit_but_cannot_be_judged(path):
    first, last = path.frames_initial[2], path.frames_final[6]
    short = configuration_path(first, last, points=3, extend=0.4)
    fit = trace_ccd(short, oscillators(short, 0.05, 0.07), dE_eV=0.0).fit_initial
    assert fit.points == 3
    assert fit.anharmonic is None
    assert fit.phonon_energy_eV == pytest.approx(PHONON_EV * np.sqrt(0.05), rel=1e-6)


def test_each_curve_is_asked_in_its_own_charge(path):
    asked = []

    def energy(frame):
        asked.append(frame.charge)
        return 0.0 if frame.charge else 1.0

    trace_ccd(path, energy, dE_eV=0.0)
    assert asked == [0] * 9 + [-1] * 9


def test_energy_that_is_not_finite_is_refused(path):
    with pytest.raises(ThermoError, match="path v_Cd_0 to v_Cd_-1"):
        trace_ccd(path, lambda frame: float("nan"), dE_eV=0.0)
    bad = replace(path, frames_initial=path.frames_initial)
    with pytest.raises(ThermoError):
        trace_ccd(bad, lambda frame: float("inf") if frame.charge else 0.0, dE_eV=0.0)


# A model's curve moved onto the engine's points.


def diagram(path, k_initial, k_final):
    Q = {f.frame_id: q for f, q in zip(path.frames_initial, path.Q_amu05_A, strict=True)}
    Q |= {f.frame_id: q for f, q in zip(path.frames_final, path.Q_amu05_A, strict=True)}

    def energy(frame):
        if frame.charge == 0:
            return -10.0 + 0.5 * k_initial * Q[frame.frame_id] ** 2
        return -9.0 + 0.5 * k_final * (Q[frame.frame_id] - path.dQ_amu05_A) ** 2

    return trace_ccd(path, energy, 0.3)


def test_a_model_too_soft_becomes_the_engine(path):
    model, engine = diagram(path, 0.2, 0.3), diagram(path, 0.26, 0.36)
    pairs = []
    for name, (own, other) in (("initial", (2, 6)), ("final", (6, 2))):
        points = check_order(path.fractions, own, other)[:5]
        ours, theirs = (getattr(c, f"energies_{name}_eV") for c in (model, engine))
        pairs.append((points, [float(theirs[p] - ours[p]) for p in points]))
    mended = corrected(model, *pairs)
    for name in ("initial", "final"):
        ours, theirs, before = (getattr(c, f"energies_{name}_eV") for c in (mended, engine, model))
        worst = np.abs(before - theirs).max()
        assert np.abs(ours - theirs).max() < 0.15 * worst
    assert mended.fit_initial.phonon_energy_eV == pytest.approx(engine.fit_initial.phonon_energy_eV, rel=0.02)
    assert mended.dE_eV == model.dE_eV


def test_known_points_are_met_and_nothing_is_extrapolated():
    Q = np.linspace(-1.0, 2.0, 7)
    found = correction_eV(Q, [4, 1, 2], [0.3, 0.1, 0.0])
    assert found[[1, 2, 4]] == pytest.approx([0.1, 0.0, 0.3])
    assert found[0] == pytest.approx(0.1)
    assert found[5:] == pytest.approx([0.3, 0.3])
    assert 0.0 < found[3] < 0.3


def test_a_point_left_out_tells_what_the_correction_does_not_know():
    Q = np.linspace(0.0, 4.0, 5)
    smooth = [float(0.01 * q) for q in Q]
    assert left_out_rms_eV(Q, range(5), smooth, 0) == pytest.approx(0.0, abs=1e-12)
    bumpy = [0.0, 0.0, 0.1, 0.0, 0.0]
    found = left_out_rms_eV(Q, range(5), bumpy, 0)
    assert found > 0.05
    assert left_out_rms_eV(Q, [0, 4], [0.0, 0.1], 0) is None


def test_two_points_move_nothing(path):
    model = diagram(path, 0.2, 0.3)
    same = corrected(model, ([2, 6], [0.0, 0.1]), ([6, 2], [0.0, 0.1]))
    assert np.array_equal(same.energies_initial_eV, model.energies_initial_eV)


# Paths between charge states: length, points, and the freedom of numbering, drift and symmetry.


def breathing(frame, amplitude_A, neighbours=4):
    """Move the four neighbours of the vacancy at the origin, each by its own amount, outwards."""
    vectors = frame.positions_A - np.rint(frame.positions_A @ np.linalg.inv(frame.cell_A)) @ (frame.cell_A)
    distances = np.linalg.norm(vectors, axis=1)
    nearest = np.argsort(distances, kind="stable")[:neighbours]
    positions = frame.positions_A.copy()
    scale = amplitude_A * np.array([1.0, 0.6, 0.3, 0.1])[:neighbours, None]
    positions[nearest] += scale * vectors[nearest] / distances[nearest, None]
    return frame.moved(positions, origin=Origin.MINIMUM)


@pytest.fixture
def ends(vacancy):
    return breathing(vacancy(0), 0.10), breathing(vacancy(-1), 0.30)


def expected_length(initial, final):
    """Mass-weighted length of the plain difference, the motion of the centre of mass removed."""
    masses = atomic_masses[initial.numbers]
    steps = final.positions_A - initial.positions_A
    steps = steps - masses @ steps / masses.sum()
    return np.sqrt(np.sum(masses[:, None] * steps**2))


def test_points_are_even_but_hit_both_ground_states():
    assert path_fractions(9, 0.4) == pytest.approx([-0.4, -0.175, 0, 0.275, 0.5, 0.725, 1, 1.175, 1.4])
    for points in range(3, 15):
        for extend in (0.0, 0.1, 0.4, 2.0, 7.0):
            fractions = path_fractions(points, extend)
            assert np.all(np.diff(fractions) > 0)
            assert {0.0, 1.0} <= set(fractions.tolist())
            assert fractions == pytest.approx(1 - fractions[::-1])


def test_length_and_ends_of_a_plain_path(ends):
    initial, final = ends
    path = configuration_path(initial, final, points=9, extend=0.4)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))
    assert path.Q_amu05_A == pytest.approx(path.fractions * path.dQ_amu05_A)
    start, end = (int(np.flatnonzero(path.fractions == x)[0]) for x in (0.0, 1.0))
    assert path.frames_initial[start].positions_A == pytest.approx(initial.positions_A)
    masses = atomic_masses[initial.numbers]
    steps = path.frames_final[end].positions_A - final.positions_A
    assert np.ptp(steps, axis=0) == pytest.approx(0, abs=1e-9)  # a rigid shift at most
    assert path.frames_final[end].charge == -1
    assert path.frames_final[end].multiplicity == final.multiplicity
    assert {f.charge for f in path.frames_initial} == {0}
    for a, b in zip(path.frames_initial, path.frames_final, strict=True):
        assert np.array_equal(a.positions_A, b.positions_A)
    moved = masses @ (path.frames_final[end].positions_A - initial.positions_A)
    assert moved == pytest.approx(0, abs=1e-9)


def test_numbering_of_atoms_does_not_matter(ends):
    initial, final = ends
    order = np.random.default_rng(1).permutation(len(final))
    mixed = replace(final, numbers=final.numbers[order], positions_A=final.positions_A[order])
    path = configuration_path(initial, mixed, points=5, extend=0.0)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))


def test_drift_and_periodic_images_do_not_matter(ends):
    initial, final = ends
    wrapped = np.mod((final.positions_A + np.array([0.11, -0.07, 0.2])) / 13.08, 1.0) * 13.08
    path = configuration_path(initial, final.moved(wrapped, origin=Origin.MINIMUM), points=5, extend=0.0)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))


@pytest.mark.parametrize(
    ("turn", "shift"),
    [
        (np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]), [0, 0, 0]),
        (np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]), [0, 0, 0]),
        (np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), [0, 6.54, 0]),
        (np.eye(3), [3.27, 3.27, 0]),
    ],
    ids=["threefold", "twofold", "mirror and translation", "translation"],
)
def test_an_operation_of_the_host_on_one_end_does_not_matter(ends, turn, shift):
    initial, final = ends
    image = final.moved(final.positions_A @ turn.T + shift, origin=Origin.MINIMUM)
    path = configuration_path(initial, image, points=5, extend=0.0)
    assert path.dQ_amu05_A == pytest.approx(expected_length(initial, final))


def test_distortions_towards_different_neighbours_are_one_up_to_symmetry(vacancy):
    """Distorted along two arms of the tetrahedron, as after a Jahn-Teller effect."""
    first, second = vacancy(0).positions_A.copy(), vacancy(-1).positions_A.copy()
    vectors = first - 13.08 * np.rint(first / 13.08)
    nearest = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[:4]
    first[nearest[0]] += 0.10 * vectors[nearest[0]]
    second[nearest[2]] += 0.12 * vectors[nearest[2]]
    initial = vacancy(0).moved(first, origin=Origin.MINIMUM)
    final = vacancy(-1).moved(second, origin=Origin.MINIMUM)
    path = configuration_path(initial, final, points=3, extend=0.0)
    mass, total = atomic_masses[52], atomic_masses[initial.numbers].sum()
    arm = 0.02 * 0.25 * np.sqrt(3) * 6.54
    assert path.dQ_amu05_A == pytest.approx(arm * np.sqrt(mass * (1 - mass / total)), rel=1e-3)


def test_path_back_has_the_same_length(ends):
    initial, final = ends
    forth = configuration_path(initial, final, points=5, extend=0.0)
    back = configuration_path(final, initial, points=5, extend=0.0)
    assert forth.dQ_amu05_A == pytest.approx(back.dQ_amu05_A, rel=1e-9)


def test_what_is_no_path_is_refused(ends, vacancy):
    initial, final = ends

    def path(first, second):
        return configuration_path(first, second, points=5, extend=0.0)

    with pytest.raises(ThermoError, match="same geometry"):
        path(initial, initial.recharged(-1, origin=Origin.MINIMUM))
    with pytest.raises(ThermoError, match="not one electron apart"):
        path(initial, vacancy(-2))
    with pytest.raises(ThermoError, match="different cells"):
        path(initial, replace(final, cell_A=1.01 * final.cell_A))


# Capture coefficients, and the vibrational levels that they rest on.


# Capture coefficients: against closed formulas and NONRAD's numbers.


COUPLING, VOLUME_A3, DEGENERACY = 0.064, 1100.0, 4


def _parabola(Q: Floats, phonon_eV: float, at: float) -> Floats:
    return 0.5 * (phonon_eV / PHONON_EV) ** 2 * (Q - at) ** 2


def _curves(
    dQ: float,
    initial_eV: float,
    final_eV: float,
    released_eV: float,
    origin: str = "final",
    points: int = 61,
) -> CaptureCurves:
    Q = np.linspace(-2.5 * dQ - 3, 3.5 * dQ + 3, points)
    return CaptureCurves(
        Q,
        _parabola(Q, initial_eV, 0.0),
        _parabola(Q, final_eV, dQ),
        dQ if origin == "final" else 0.0,
        released_eV,
    )


def _coefficients(curves: CaptureCurves, *temperatures_K: float) -> Floats:
    return capture_coefficient_cm3_s(curves, COUPLING, VOLUME_A3, DEGENERACY, np.array(temperatures_K))


def test_equal_parabolas_cross_at_the_marcus_barrier() -> None:
    Q, reorganisation, offset = np.linspace(-1.0, 2.0, 13), 0.1, -0.06
    initial, final = reorganisation * Q**2, reorganisation * (Q - 1.0) ** 2 + offset
    barrier = (reorganisation + offset) ** 2 / (4 * reorganisation)
    assert lowest_crossing_eV(Q, initial, final) == pytest.approx(barrier, rel=1e-6)
    # The crossing of these two parabolas lies at Q = 15.5, beyond the path.
    assert lowest_crossing_eV(Q, initial, final + 3.06) is None


def test_lowest_of_two_crossings_is_taken() -> None:
    Q = np.linspace(-1, 2, 13)
    roots = np.roots([0.5, -0.1, -0.2])
    found = lowest_crossing_eV(Q, Q**2, 0.5 * Q**2 + 0.1 * Q + 0.2)
    assert found == pytest.approx(min(roots**2), rel=1e-6)


@pytest.mark.parametrize("quanta", [10, 17, 25])
@pytest.mark.parametrize("origin", ["initial", "final"])
def test_two_equal_parabolas_at_low_temperature(quanta: int, origin: str) -> None:
    dQ, phonon = 3.0, 0.03
    found = _coefficients(_curves(dQ, phonon, phonon, quanta * phonon, origin), 10.0)
    S = dQ**2 * phonon / (2 * PHONON_EV**2)
    overlap2 = exp(-S + quanta * log(S) - lgamma(quanta + 1))
    lever2 = PHONON_EV**2 / (2 * phonon) * (quanta - S) ** 2 / S
    if origin == "final":
        # The two origins' elements differ by dQ times the overlap: they belong to the crossing seen from either side.
        crossing = dQ / 2 * (1 - quanta / S)
        lever2 *= ((dQ - crossing) / crossing) ** 2
    rate = 2 * pi / HBAR_EV_S * DEGENERACY * COUPLING**2 * overlap2 * lever2 / phonon
    assert found[0] == pytest.approx(rate * VOLUME_A3 * 1e-24, rel=3e-3)


@pytest.mark.parametrize(
    ("dQ", "released_eV", "initial_eV", "final_eV", "nonrad"),
    [
        # nonrad 1.2.0: get_C(dQ, dE, wi, wf, Wif=0.064, volume=1100, g=4, T=[200, 300, 500]).
        (1.69, 1.01, 0.0336, 0.0336, [5.5675e-10, 2.4073e-09, 1.7823e-08]),
        # It counts energies from the zero points, hence half the difference of the quanta.
        (2.0, 0.3 - 0.005, 0.04, 0.03, [8.9967e-07, 9.0092e-07, 8.5848e-07]),
    ],
)
def test_nonrads_numbers(
    dQ: float, released_eV: float, initial_eV: float, final_eV: float, nonrad: list[float]
) -> None:
    found = _coefficients(_curves(dQ, initial_eV, final_eV, released_eV), 200.0, 300.0, 500.0)
    assert found == pytest.approx(nonrad, rel=5e-3)


def test_high_barriers_are_climbed_by_heat() -> None:
    """Classical limit: the slope of the logarithm over 1/kT is the barrier, here 0.34 eV."""
    dQ, phonon, released = 10.6, 0.02, 0.6
    temperatures = np.array([600.0, 700.0])
    found = _coefficients(_curves(dQ, phonon, phonon, released, points=121), *temperatures)
    relaxation = _parabola(np.array([dQ]), phonon, 0.0)[0]
    barrier = (relaxation - released) ** 2 / (4 * relaxation)
    kT = constants.k / constants.e * temperatures
    slope = -np.diff(np.log(found * np.sqrt(kT)))[0] / np.diff(1 / kT)[0]
    assert slope == pytest.approx(barrier, rel=0.02)


def test_curves_that_end_too_low_are_refused() -> None:
    Q = np.linspace(-1.0, 4.0, 41)
    curves = CaptureCurves(Q, _parabola(Q, 0.03, 0.0), _parabola(Q, 0.03, 3.0), 3.0, 0.17)
    with pytest.raises(ThermoError, match="extend"):
        _coefficients(curves, 600.0)


def test_less_than_a_quantum_is_refused() -> None:
    with pytest.raises(ThermoError, match="quantum"):
        _coefficients(_curves(3.0, 0.03, 0.03, 0.01), 300.0)


def test_the_coulomb_factor_is_nonrads() -> None:
    temperatures = np.array([200.0, 300.0, 500.0])
    assert sommerfeld_factor(0, 0.18, 8.9, temperatures).tolist() == [1.0, 1.0, 1.0]
    attracted = sommerfeld_factor(-1, 0.18, 8.9, temperatures)
    assert attracted == pytest.approx([9.5094175, 7.7814570, 6.0656651], rel=1e-6)
    repelled = sommerfeld_factor(1, 0.18, 8.9, temperatures)
    assert repelled == pytest.approx([0.01343151, 0.02801693, 0.05987616], rel=1e-5)


# Vibrational levels against a parabola, a Morse curve and a box.


SPRING_SI = constants.atomic_mass / constants.e * 1e-20  # (rad/s)^2 to eV/(amu A^2)


def harmonic(quantum_eV):
    """Curvature of an oscillator with this quantum, eV/(amu A^2)."""
    return (quantum_eV * constants.e / constants.hbar) ** 2 * SPRING_SI


@pytest.mark.parametrize("quantum_eV", [0.010, 0.025])
def test_a_parabola_has_its_quantum(quantum_eV):
    Q = np.linspace(-6.0, 9.0, 11)
    energies = 0.5 * harmonic(quantum_eV) * Q**2
    assert vibrational_quantum_eV(Q, energies) == pytest.approx(quantum_eV, rel=1e-3)


def test_a_morse_curve_has_less_than_its_parabola():
    """E1 - E0 = hw - 2 (hw)^2 / (4 D)."""
    quantum_eV, depth_eV = 0.03, 0.4
    steepness = np.sqrt(harmonic(quantum_eV) / (2 * depth_eV))
    Q = np.linspace(-2.5, 12.0, 60)
    energies = depth_eV * (1 - np.exp(-steepness * Q)) ** 2
    expected = quantum_eV - 2 * quantum_eV**2 / (4 * depth_eV)
    assert vibrational_quantum_eV(Q, energies) == pytest.approx(expected, rel=2e-3)


def test_a_curve_that_ends_too_low_has_none():
    Q = np.linspace(-0.3, 0.3, 9)
    assert vibrational_quantum_eV(Q, 0.5 * harmonic(0.025) * Q**2) is None
