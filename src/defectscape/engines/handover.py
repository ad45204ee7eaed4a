"""Engines that can write inputs for others to run: a last relaxation, outside this workflow."""

from typing import Protocol, runtime_checkable

from defectscape.domain.frame import Frame


@runtime_checkable
class HandoverEngine(Protocol):
    """An engine whose program people run by hand."""

    def relaxation_inputs(self, frame: Frame, fmax_eV_A: float) -> dict[str, str]:
        """Input files that relax a frame down to ``fmax_eV_A``, as text by file name.

        Raises:
            EngineError: if a file that the inputs depend on is not there.
        """
