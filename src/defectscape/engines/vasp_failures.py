"""Why VASP stopped, from what it printed, and whether another attempt can help.

VASP ends in many ways with a status of 0, and boxes its messages between lines of asterisks and letters, so the
last line says little.
"""

import re

from defectscape.engines.base import CalculationFailed

FINAL = re.compile(
    r"""number \s+ of \s+ potentials \s+ on \s+ file \s+ potcar
    | potcar \b .* (?:missing | not \s+ found | does \s+ not \s+ exist | cannot | could \s+ not | incompatible)
    | (?:error | missing | cannot | could \s+ not) .* \b(?:potcar | poscar | incar | kpoints)\b
    | error \s+ reading \s+ (?:item | incar | kpoints | poscar | potcar)
    | triple \s+ product \s+ of \s+ the \s+ basis \s+ vectors
    | no \s+ initial \s+ positions
    | license
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Failures that lie in the input itself. Whatever else VASP stops with goes on to the next attempt."""

KNOWN = re.compile(
    r"""EDDDAV | EDDRMM | EDDIAG | EDWAV | ZBRENT | BRMIX | BRIONS | ZHEGV | ZHEEV | ZPOTRF | PSSYEVX
    | Sub-Space-Matrix \s+ is \s+ not \s+ hermitian
    | VERY \s+ BAD \s+ NEWS | internal \s+ error
    | REAL_OPT | RSPHER | SBESSELITER
    | POSMAP | PRICEL | SGRCON | RHOSYG | IBZKPT | inverse \s+ of \s+ rotation \s+ matrix | rotation \s+ matrix
    | TOO \s+ FEW \s+ BANDS | bands \s+ is \s+ not \s+ sufficient
    | change \s+ of \s+ the \s+ k-point \s+ set | tetrahedron \s+ method
    | SIGSEGV | Segmentation
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Failures on the way to a solution that have names; custodian's remedy for most is another algorithm, too.

They come before the input's: some of them advise a change of INCAR.
"""


def failure(output: str, returncode: int) -> CalculationFailed:
    """What became of a run that ended without an answer.

    Args:
        output: the end of what it printed.
        returncode: its exit status.
    """
    lines = [" ".join(line.strip(" |*-").split()) for line in output.splitlines()]
    lines = [line for line in lines if line]
    told = [line for line in lines if not line.upper().startswith("WARNING: TYPE INFORMATION")]
    known = next((line for line in told if KNOWN.search(line)), None)
    final = None if known else next((line for line in told if FINAL.search(line)), None)
    said = known or final or (lines[-1] if lines else "no output")
    return CalculationFailed(f"VASP ended with status {returncode}: {said}", hopeless=final is not None)
