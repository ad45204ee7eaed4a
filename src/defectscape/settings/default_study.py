"""The default study: two defects of CdTe with the embedded engine, some twenty minutes on two cores.

Why these: at this level the neutral cadmium vacancy has a Te-Te dimer for its ground state, which
the relaxation of the unperturbed structure misses, and the charged ones have not: the levels turn
into one of negative U. The tellurium vacancy is the counterpart where the plain relaxation is right.
IPEA1-xTB stands for the expensive level: it opens a gap, converges on all of them and takes a fifth of
the time of GFN2-xTB; GFN1-xTB is the cheap one.
"""

from typing import Any

DEFAULT_STUDY: dict[str, Any] = {
    "study": "cdte",
    "effort": "quick",
    "seed": 2026,
    "label_store": "labels",
    "label_jobs": 2,
    "host": {
        "file": "config/hosts/CdTe.vasp",
        "supercell": {
            "matrix": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
            "min_image_distance_A": 11.0,
        },
        "relax": "none",
        "stability": {"starts": 3},
    },
    "defects": [
        {"name": "v_Cd", "charges": ["0", "-1", "-2"]},
        {"name": "v_Te", "charges": ["0", "+1", "+2"]},
    ],
    "fidelities": {
        "low": {"name": "gfn1", "engine": {"kind": "tblite", "method": "GFN1-xTB"}},
        "high": {"name": "ipea1", "engine": {"kind": "tblite", "method": "IPEA1-xTB"}},
    },
    "sampling": {"start_rattle_A": 0.05, "rattle_amplitudes_A": [0.03, 0.08], "shortest_distance_A": 2.2},
    "exploration": {"search": {"shortest_distance_A": 2.0}},
    "search": {"shortest_distance_A": 2.0},
    "thermo": {
        "elemental_references": {
            "Cd": "config/elements/Cd.vasp",
            "Te": "config/elements/Te.vasp",
        },
        "correction": {
            "kind": "point_charge",
            "dielectric": [[10.3, 0.0, 0.0], [0.0, 10.3, 0.0], [0.0, 0.0, 10.3]],
        },
        "concentrations": {
            "bands": {"kind": "effective_masses", "electron": 0.11, "hole": 0.6},
            "annealing_K": [600.0, 800.0, 1000.0],
        },
    },
    "ccd": {"points": 13, "engine_points": 13},
}
"""As it would be written in YAML; its effort gives what is left out.

The lengths are what its results were computed with: close to what follows from the bond length and the radii.
"""
