"""What is wrong with a prior, found before a label is computed: its elements, and whether it knows the charge."""

from collections.abc import Iterator, Sequence

from ase.calculators.calculator import CalculationFailed
from ase.data import atomic_numbers

from defectscape.domain.errors import ConfigError, EngineError
from defectscape.domain.site import HostCrystal
from defectscape.sampling.host import host_frame
from defectscape.settings.ase_calculator import AseSettings
from defectscape.settings.engine import EngineSettings, PriorSettings
from defectscape.settings.study import Study
from defectscape.settings.tblite import HEAVIEST, TbliteSettings
from defectscape.study.context import StudyContext


def engines_of(prior: PriorSettings | None) -> Iterator[tuple[str, EngineSettings]]:
    """The engines of a prior with the keys that name them; none without a prior."""
    if prior is not None:
        yield "prior.engine", prior.engine
        if prior.landscape is not None:
            yield "prior.landscape", prior.landscape


def check_prior(study: Study, elements: Sequence[str]) -> tuple[str, ...]:
    """The prior's engines have parameters for the elements of the host and of what defects add.

    Returns:
        What may be wrong with it, in words.

    Raises:
        ConfigError: naming engine, method and element, for the first that has none.
    """
    for key, engine in engines_of(study.prior):
        if isinstance(engine, TbliteSettings):
            _check_tight_binding(key, engine, elements)
    if study.prior is not None and isinstance(study.prior.engine, AseSettings):
        return (
            f"prior.engine is {study.prior.engine.calculator}: many ASE calculators do not use the charge that they "
            "are told, and such a prior says nothing of charges. `defectscape check --measure` tries it",
        )
    return ()


def _check_tight_binding(key: str, engine: TbliteSettings, elements: Sequence[str]) -> None:
    for element in elements:
        if atomic_numbers[element] > HEAVIEST:
            raise ConfigError(
                key,
                f"{engine.method} has no parameters for {element}",
                "Take another engine for the prior, or take the prior out",
            )


def measure_prior(context: StudyContext, host: HostCrystal) -> tuple[str, ...]:
    """Ask the prior for the perfect supercell, neutral and charged; its values stay in its store.

    Returns:
        That it fails for the charged one, in words; else nothing.

    Raises:
        EngineError: if it fails for the neutral one.
    """
    prior = context.prior
    if prior is None:
        return ()
    neutral = host_frame(host, context.study.host.ferromagnet)
    charge = next((key.charge for _, key in context.keys if key.charge), 1)
    (charged,) = prior.label_many([neutral, neutral.recharged(charge, origin=neutral.origin)])[1:]
    try:
        prior.evaluate_many([neutral])
    except CalculationFailed as error:
        raise EngineError(
            "prior of the perfect supercell",
            error,
            "Change the prior's settings: what it fails for is neither trained on nor searched",
        ) from error
    if charged is None:
        return (f"the prior fails for the perfect supercell in charge {charge:+d}; frames that it fails for are lost",)
    return ()
