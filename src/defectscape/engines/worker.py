"""The process in which an engine that is a library runs: ``python -m defectscape.engines.worker FD``.

It is given an engine's settings, then one frame after another, and answers with labels. A library
that crashes takes this process with it and not the labelling job; one that never returns is ended.

For tblite it loads a fast BLAS: the system's OpenBLAS in the place of the reference one that tblite's wheel brings.
At least three quarters of a calculation of 80 atoms are BLAS and LAPACK calls, and the wheel of tblite 0.8 holds the
unoptimised ones of Netlib. With OpenBLAS a label of 40 atoms takes two thirds of the time, one of 127 atoms a
quarter, and energies agree to 1e-11 eV. A library that is loaded with global symbols is found before the one that
tblite brings, so it must come first; only this process loads it, where nothing else asks for these symbols.
"""

import contextlib
import ctypes
import signal
import sys
from multiprocessing.connection import Connection

from defectscape.domain.errors import EngineError, LabelError
from defectscape.engines.base import CalculationFailed
from defectscape.engines.processor_time import own_core_seconds
from defectscape.engines.registry import make_local_engine
from defectscape.settings.tblite import TbliteSettings

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


def serve(connection: Connection) -> None:
    """Answer until the other side is gone."""
    settings = connection.recv()
    if isinstance(settings, TbliteSettings):
        use_openblas()
    engine = make_local_engine(settings)
    connection.send("ready")
    while True:
        try:
            frame, attempt = connection.recv()
        except EOFError:
            return
        answer: tuple[object, ...]
        try:
            answer = ("label", engine.compute(frame, attempt))
        except CalculationFailed as error:
            answer = ("failed", error.reason, error.hopeless)
        except LabelError as error:
            answer = ("label error", error.thing, error.value, error.remedy)
        except EngineError as error:
            answer = ("engine error", error.thing, str(error.value), error.remedy)
        connection.send((answer, own_core_seconds()))


if __name__ == "__main__":
    # A keyboard interrupt is for the labelling job, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
