"""From an engine's settings to the engine."""

from defectscape.domain.errors import ConfigError, EngineError
from defectscape.engines.base import Engine
from defectscape.engines.charge_check import ChargeCheckedEngine
from defectscape.engines.isolated import IsolatedEngine
from defectscape.settings.ase_calculator import AseSettings
from defectscape.settings.engine import EngineSettings
from defectscape.settings.espresso import EspressoSettings
from defectscape.settings.vasp import VaspSettings


def make_engine(settings: EngineSettings) -> Engine:
    """The engine of these settings; one that is a library gets a process of its own, here or in another Python.

    Raises:
        EngineError: if its package is not installed, or its files are not there.
    """
    engine = make_local_engine(settings)
    if isinstance(settings, EspressoSettings | VaspSettings):
        return engine
    if not isinstance(settings, AseSettings):
        return IsolatedEngine(engine, settings, None)
    if settings.python is None:
        engine = IsolatedEngine(engine, settings, settings.time_limit_s)
    return engine if settings.charge_blind else ChargeCheckedEngine(engine)


def with_mesh(settings: EngineSettings, mesh: list[int], where: str) -> EngineSettings:
    """The settings with another k-point mesh.

    Args:
        mesh: three numbers.
        where: the key that asks for it, for the message.

    Raises:
        ConfigError: if the engine has none.
    """
    if "kpoints" not in type(settings).model_fields:
        raise ConfigError(
            where, f"the {settings.kind} engine has no k-points", "Take it out, and give a supercell as reference"
        )
    return settings.model_copy(update={"kpoints": mesh})


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
