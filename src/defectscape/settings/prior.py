"""Settings of the prior: cheap energies and forces under the model."""

from pydantic import Field

from defectscape.settings.base import Settings
from defectscape.settings.engine import EngineSettings


class PriorSettings(Settings):
    """Cheap energies and forces that are taken off every label before training, and put back afterwards.

    The model then learns what they leave. What the prior knows of bonds and charges that no label has shown, the
    model need not extrapolate.
    """

    engine: EngineSettings
    landscape: EngineSettings | None = Field(
        None,
        description="An engine for the energy surface that all charge states share, commonly a foundation potential. "
        "The prior is then its energy, plus what `engine` says that the charge adds: `engine` in the state's charge "
        "less `engine` in charge 0.",
    )
    processes: int = Field(
        1,
        gt=0,
        description="Structures that one search, labelling or evaluation computes side by side, a core each. "
        "Results do not depend on it.",
    )
