"""Why VASP stopped, whether another attempt can help, and what it could not print.

VASP ends in many ways with a status of 0, and boxes its messages between lines of asterisks and letters, so the
last line says little. A number that did not fit into its format costs the one ionic step that it stands in.
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


_STARS = re.compile(rb"(?<=[\s>])[-+0-9.]*\*+[-+0-9.*]*(?=[\s<])")
"""Stars alone, or grown together with a neighbour."""
_VECTOR = re.compile(rb"(<v>)([^<]*)(</v>)")


def without_stars(content: bytes) -> bytes:
    """The file with NaN in place of stars."""
    return _STARS.sub(rb" NaN ", content)


def without_glued_numbers(content: bytes) -> bytes:
    """The file with NaN in place of vectors whose numbers ran into each other: ``-123.4-123.4``.

    Slow for a large file, and rarely needed.
    """
    return _VECTOR.sub(_readable, content)


def _readable(found: re.Match[bytes]) -> bytes:
    try:
        for word in found.group(2).split():
            float(word)
    except ValueError:
        return found.group(1) + b" NaN NaN NaN " + found.group(3)
    return found.group(0)
