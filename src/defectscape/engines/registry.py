"""From an engine's settings to the engine."""

from defectscape.domain.errors import EngineError
from defectscape.engines.base import Engine
from defectscape.engines.isolated import IsolatedEngine
from defectscape.settings.ase_calculator import AseSettings
from defectscape.settings.engine import EngineSettings
from defectscape.settings.espresso import EspressoSettings
from defectscape.settings.vasp import VaspSettings


def make_engine(settings: EngineSettings) -> Engine:
    """The engine of these settings; one that is a library gets a process of its own.

    Raises:
        EngineError: if its package is not installed, or its files are not there.
    """
    engine = make_local_engine(settings)
    if isinstance(settings, EspressoSettings | VaspSettings):
        return engine
    limit_s = settings.time_limit_s if isinstance(settings, AseSettings) else None
    return IsolatedEngine(engine, settings, limit_s)


def make_local_engine(settings: EngineSettings) -> Engine:
    """The engine itself, in this process; its package is imported only now.

    Raises:
        EngineError: if its package is not installed, or its files are not there.
    """
    if isinstance(settings, EspressoSettings):
        from defectscape.engines.espresso import EspressoEngine

        return EspressoEngine(settings)
    if isinstance(settings, AseSettings):
        from defectscape.engines.ase_calculator import AseEngine

        return AseEngine(settings)
    if isinstance(settings, VaspSettings):
        from defectscape.engines.vasp import VaspEngine

        return VaspEngine(settings)
    try:
        from defectscape.engines.tblite import TbliteEngine
    except ImportError as error:
        raise EngineError(
            f"engine {settings.kind}",
            f"cannot be imported ({error})",
            "Install it: `pip install tblite`",
        ) from error
    return TbliteEngine(settings)
