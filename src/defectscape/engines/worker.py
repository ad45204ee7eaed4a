"""The process in which an engine that is a library runs: ``python -m defectscape.engines.worker FD``.

It is given an engine's settings, then one frame after another, and answers with labels. A library
that crashes takes this process with it and not the labelling job; one that never returns is ended.
"""

import signal
import sys
from multiprocessing.connection import Connection

from defectscape.domain.errors import EngineError, LabelError
from defectscape.engines.base import CalculationFailed
from defectscape.engines.fast_blas import use_openblas
from defectscape.engines.processor_time import own_core_seconds
from defectscape.engines.registry import make_local_engine
from defectscape.settings.tblite import TbliteSettings


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
