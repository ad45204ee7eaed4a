"""A fast BLAS for tblite: the system's OpenBLAS in the place of the reference one that its wheel brings.

At least three quarters of a calculation of 80 atoms are BLAS and LAPACK calls, and the wheel of tblite 0.8 holds the
unoptimised ones of Netlib. With OpenBLAS a label of 40 atoms takes two thirds of the time, one of 127 atoms a
quarter, and energies agree to 1e-11 eV. A library that is loaded with global symbols is found before the one that
tblite brings, so it must come first; only tblite's worker loads it, where nothing else asks for these symbols.
"""

import contextlib
import ctypes
import sys

LIBRARY = "libopenblas.so.0"
"""As Debian's libopenblas0 packages, most clusters' modules and conda name it."""


def use_openblas() -> bool:
    """Load the system's OpenBLAS for libraries that are loaded later; whether there is one.

    Outside Linux, libraries are bound to the ones that they were built with, and nothing is done.
    """
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError):
        ctypes.CDLL(LIBRARY, mode=ctypes.RTLD_GLOBAL)
        return True
    return False
