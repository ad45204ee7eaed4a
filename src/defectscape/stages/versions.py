"""Versions of the stages: raise one when its code changes its results.

The workflow passes them as parameters of the rules, because Snakemake does not see code behind a
command line: raising a number here makes that stage, and what depends on it, run again.
"""

STAGE_VERSIONS = {
    "host": 1,
    "references": 2,
    "sites": 1,
    "starts": 2,
    "relax_starts": 1,
    "select": 1,
    "label": 1,
    "dataset": 2,
    "train": 3,
    "search": 4,
    "relax_minima": 1,
    "harvest": 1,
    "minima": 1,
    "verify": 4,
    "evaluate": 2,
    "potentials": 1,
    "thermo": 4,
    "ccd": 4,
    "ccd_check": 1,
    "summary": 9,
    "handover": 1,
    "report": 1,
}
