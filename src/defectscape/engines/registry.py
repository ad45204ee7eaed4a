"""From an engine's settings to the engine."""

from defectscape.domain.errors import EngineError
from defectscape.engines.base import Engine
from defectscape.settings.engine import EngineSettings


def make_engine(settings: EngineSettings) -> Engine:
    """The engine of these settings.

    Raises:
        EngineError: if its package is not installed.
    """
    try:
        from defectscape.engines.tblite import TbliteEngine
    except ImportError as error:
        raise EngineError(
            f"engine {settings.kind}", f"cannot be imported ({error})",
            "Install it: `pip install tblite`",
        ) from error  # fmt: skip
    return TbliteEngine(settings)
