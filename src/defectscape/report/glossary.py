"""What every column of every table means: shown where the reader points at a heading, and listed on the page.

A column finds its entry by its ``term``: a heading as it is, or the part of it before the first comma.
"""

import re

TERMS: dict[str, str] = {
    # Names.
    "Defect": "Name of the defect: v_Cd is a vacancy, Te_Cd is Te on a Cd site, i_Cd_1 is the first Cd interstitial.",
    "Defect key": "Name of the defect and its charge state, such as v_Cd_-2.",
    "State": "Name of the defect and its charge state, such as v_Cd_-2.",
    "Charge": "Charge of the supercell in units of e.",
    "Multiplicity": "Spin multiplicity 2S + 1 of the labels: 1 is a singlet, 2 a doublet, 3 a triplet.",
    # Ground states.
    "E_form at VBM": "Formation energy at a Fermi level at the valence band maximum, for the named chemical-potential "
    "limit. It contains the finite-size correction.",
    "Standard uncertainty": "One standard deviation of the value. The list under the ground states says what it is "
    "made of.",
    "Status": "Verified: the engine relaxed the ground state and the unperturbed start, and the ground state is lower. "
    "Open: one of the two is not finished, or a lower structure is known. Certain: verified, and no other minimum that "
    "was found can be lower within the model’s errors.",
    "Found": "What the structure holds, and the other ground states that have the same structure.",
    "Distortion": "Dominant change of the structure against the unrelaxed defect.",
    "Point group": "Point group of the relaxed structure, Schoenflies symbol.",
    "Engine fmax": "Largest force by the engine at the geometry in the file; empty if the engine did not compute it.",
    "Model error": "Model minus engine at the model’s geometry, before the model was trained on it.",
    "Gain over unperturbed": "Energy of the relaxed unperturbed structure, which keeps its symmetry, above the ground "
    "state. The start “unperturbed, nudged” in the table of minima shows where a slightly displaced structure ends.",
    "Gain from": "Whether the engine or the model gave the gain.",
    "Minima": "Number of distinct minima found.",
    "Geometry": "POSCAR of the structure; a link saves it.",
    # Minima.
    "Rank": "Order of the minima by the model’s energy; 0 is the lowest.",
    "Ground state": "Whether this minimum is the ground state that the page reports.",
    "Above lowest": "Model energy above the model’s lowest minimum of the same charge state.",
    "Committee std": "Standard deviation of this energy difference over the committee.",
    "Calibrated bar": "Standard uncertainty from the committee’s spread and the calibration factor.",
    "Doubtful": "The committee’s forces spread beyond search.max_force_std_eV_A here. Only the engine can tell whether "
    "this is a minimum.",
    "Above ground state": "Engine energy above the verified ground state.",
    "Engine steps": "Relaxation steps with the engine.",
    "Orientations": "Number of equivalent orientations of the structure on its site; empty if it left the site.",
    "From unperturbed": "Whether the unperturbed start relaxed to this minimum.",
    "Found from": "Starts that relaxed to this minimum.",
    "Starts that led here": "Number of starts that relaxed to this minimum.",
    "Start": "The structure from which the relaxation started.",
    "Converged": "Whether the relaxation reached the force limit.",
    "Model minus engine": "Model energy minus engine energy at the model’s geometry, before the model was trained on "
    "it.",
    "Engine energy": "Energy of the supercell by the engine.",
    # Levels, pairs, spins.
    "Upper charge": "The more positive of the two charge states of a level.",
    "Lower charge": "The more negative of the two charge states of a level.",
    "Level above VBM": "Charge-transition level above the valence band maximum.",
    "Stable": "Whether each of the two charge states is the most stable one on its side of the level.",
    "In gap": "Whether the level lies between the band edges.",
    "Open charge states": "Charge states of the level whose ground state is open.",
    "Pair": "The two point defects that form the pair.",
    "Partners' distance": "Distance of the two sites before relaxation.",
    "Orientations around the first": "Number of equivalent pairs around one site of the first partner.",
    "Pairs per primitive cell": "Number of equivalent pairs in a primitive cell, each counted once.",
    "Binding energy": "Formation energy of the pair minus those of its partners apart; negative if the pair is bound.",
    "Partners apart": "Charge states of the separate partners: those that add up to the pair’s charge and are lowest "
    "together.",
    "Verified": "Whether the engine computed the ground states of the pair and of both partners.",
    "Open ground states": "States among these three whose ground state is open.",
    "Why there is none": "Reason for a missing value.",
    "Other multiplicity": "The spin multiplicity that was tried besides.",
    "Why it is plausible": "Reason for trying another multiplicity.",
    "Other above ground state": "Energy at the other multiplicity minus the ground state’s, at the same geometry.",
    "Other is lower": "Whether the other multiplicity has the lower energy.",
    "Levels that rest on it": "Transition levels that use the energy of this state.",
    # Chemical potentials and concentrations.
    "Limit": "Name of the chemical-potential limit.",
    "Δμ": "Chemical potential of the element relative to its reference phase.",
    "Annealed at": "Temperature at which the defects form in equilibrium.",
    "Fermi level there": "Fermi level above the valence band maximum at the annealing temperature.",
    "± there": "One standard deviation of the Fermi level at the annealing temperature.",
    "Quenched to": "Temperature of use, at which the number of defects stays that of annealing.",
    "Fermi level": "Fermi level above the valence band maximum at the temperature of use.",
    "±": "One standard deviation of the value in the column before.",
    "Electrons": "Concentration of electrons in the conduction band at the temperature of use.",
    "Holes": "Concentration of holes in the valence band at the temperature of use.",
    "While annealed": "Concentration at the annealing temperature.",
    "After quenching": "Concentration at the temperature of use.",
    "Standard deviation of its log₁₀": "Standard deviation of the decimal logarithm of the quenched concentration.",
    # Configuration coordinates and capture.
    "Initial charge": "Charge state before the capture or emission of a carrier.",
    "Final charge": "Charge state after the capture or emission of a carrier.",
    "ΔQ": "Mass-weighted distance between the two ground-state geometries.",
    "Relaxation energy": "Energy of this charge state in the other’s geometry, above its own minimum.",
    "ħω": "Effective phonon energy; it assumes a parabola, so do not use it where “Harmonic” says no.",
    "Lowest spacing": "Spacing of the two lowest vibrational levels of the computed curve, parabola or not.",
    "S": "Huang–Rhys factor; it assumes a parabola, so do not use it where “Harmonic” says no.",
    "Harmonic": "Whether a parabola fits the curve.",
    "Energies from": "Source of the energies on the curves.",
    "Engine points": "Number of points on the two curves that the engine computed.",
    "Model against engine there": "Root-mean-square difference of the model and the engine at these points.",
    "Moved curve against points left out": "Leave-one-out error of the curves that were moved onto the engine’s "
    "points.",
    "Before": "Charge state before the capture.",
    "After": "Charge state after the capture.",
    "Carrier": "Electron or hole.",
    "Energy released": "Energy that the capture releases.",
    "Matrix element": "Electron-phonon matrix element, given by the study.",
    "Temperature": "Temperature of the coefficient.",
    "Coefficient": "Capture coefficient; it contains the Coulomb factor.",
    "From": "Smallest coefficient within the level’s standard uncertainty.",
    "To": "Largest coefficient within the level’s standard uncertainty.",
    "Coulomb factor in it": "Enhancement by the defect’s charge, contained in the coefficient.",
    # Errors, calibration, checks.
    "Head": "Level of theory that the model predicts.",
    "Frames": "Number of structures.",
    "Energy MAE": "Mean absolute error of the energy.",
    "Energy RMSE": "Root-mean-square error of the energy.",
    "Energy RMSE, mean removed": "Root-mean-square error without the constant of each defect and charge state; this "
    "error matters for the order of structures.",
    "Force MAE": "Mean absolute error of the force components.",
    "Force RMSE": "Root-mean-square error of the force components.",
    "Mean difference": "Mean energy difference between the two levels of theory.",
    "Spread of the difference": "Standard deviation of this difference: what the model must learn from few labels.",
    "Spread of the low energies": "Standard deviation of the low level’s energies on the same structures.",
    "RMS force difference": "Root-mean-square difference of the forces by the two levels of theory.",
    "RMS force": "Root-mean-square force on the same structures.",
    "Quantity": "What the committee’s spread is calibrated for.",
    "Families": "Number of families of starts from which the structures come.",
    "Factor": "Factor from the committee’s spread to a bar that holds 68% of the errors.",
    "Test frames": "Number of structures that give the coverage; none of them gave the factor.",
    "Within 1 spread": "Share of the errors within one spread, before calibration.",
    "Within 2 spreads": "Share of the errors within two spreads, before calibration.",
    "Within 68% bar": "Share of the errors within the 68% bar, after calibration.",
    "Within 95% bar": "Share of the errors within the 95% bar, after calibration.",
    "Rank correlation": "Spearman correlation of the spread and the error.",
    "Note": "Reason for a missing factor.",
    "Model less engine": "The model’s level minus the engine’s level.",
    "In units of the bar": "Size of this error divided by the calibrated bar.",
    "Model": "Group, round and number of the model.",
    "Checked": "The property that the gate tests.",
    "Value": "Measured value.",
    "Unit": "Unit of the measured value.",
    "Limit of a gate": "Bound that the value must keep.",
    "Frames to train on": "Number of labelled structures in the training set.",
    "Frames to validate on": "Number of labelled structures in the validation set.",
    "Best step": "Training step whose weights were kept.",
    "Validation energy RMSE": "Root-mean-square energy error on the validation set at the best step.",
    "Validation force RMSE": "Root-mean-square force error on the validation set at the best step.",
    "Ended by": "Why the training stopped.",
    # Failures and cost.
    "Kind": "Relaxation with the model, or label by an engine.",
    "Where": "Charge state of the relaxation; stage and level of theory of the label.",
    "Reason": "Why the relaxation or calculation stopped.",
    "Failed": "Number of failures.",
    "Tried": "Number of attempts.",
    "Stage": "Stage of the study that asked for the labels.",
    "Level": "Level of theory of the labels.",
    "Labels": "Number of labels: energies and forces by an engine.",
    "Core time": "Time of computing the labels, multiplied by the number of cores.",
    "Per label": "Core time divided by the number of labels.",
    "Rule": "Rule of the workflow.",
    "For": "Kind of work: engine, training, relaxation or other.",
    "Jobs": "Number of jobs of the rule.",
    "Wall time": "Sum of the jobs’ wall times.",
    "CPU time": "Sum of the jobs’ CPU times.",
    "Share of wall time": "Share of the wall time of all rules.",
}
"""Meaning of each term, in the order of the page."""


def term_of(heading: str) -> str | None:
    """The glossary's term of a column: its heading, or what stands before the first comma; None without any."""
    return next((term for term in (heading, heading.partition(",")[0]) if term in TERMS), None)


def anchor(term: str) -> str:
    """Name of a term's place on the page: plain letters, and its number for what has none."""
    words = re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")
    return f"term-{list(TERMS).index(term)}-{words}".rstrip("-")
