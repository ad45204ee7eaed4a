"""Reference crystals of a study: a structure file, with its spin, or its energy, where that is known."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from defectscape.settings.base import FilePath, Settings


class ReferenceSettings(Settings):
    """A reference phase, where more than its file is to be said; a path alone is the file."""

    file: FilePath | None = Field(
        None,
        description="Structure file of the phase, or of one molecule in a box. It may be left out for an element "
        "whose energy is given.",
    )
    multiplicity: int | None = Field(
        None,
        ge=1,
        description="Spin multiplicity of the cell in the file, 2S + 1. Left out, that of the standard state (O2 is "
        "a triplet, a metal has no moment fixed). Magnetic metals and open d or f shells are refused without it.",
    )
    energy_eV_per_atom: float | None = Field(
        None,
        description="Energy of the phase, eV per atom, in place of a calculation. It must come from the "
        "high-fidelity engine's functional, pseudopotentials and cutoffs, or formation energies are wrong.",
    )
    source: str | None = Field(None, min_length=1, description="Where the energy is from; the report names it.")

    @model_validator(mode="after")
    def _energy_has_a_source(self) -> "ReferenceSettings":
        if (self.energy_eV_per_atom is None) != (self.source is None):
            raise ValueError("energy_eV_per_atom and source belong together: give both or neither")
        if self.file is None and self.energy_eV_per_atom is None:
            raise ValueError("give file, or energy_eV_per_atom with its source")
        if self.multiplicity is not None and self.energy_eV_per_atom is not None:
            raise ValueError("energy_eV_per_atom is in place of a calculation: take multiplicity out")
        return self


def _reference(value: object) -> object:
    return {"file": value} if isinstance(value, str) else value


def _written(reference: ReferenceSettings) -> Any:
    """As short as it may be written, so that a path stays a path."""
    given = {name: value for name, value in reference.model_dump(mode="json").items() if value is not None}
    return given["file"] if set(given) == {"file"} else given


Reference = Annotated[
    ReferenceSettings,
    BeforeValidator(_reference, json_schema_input_type=FilePath | ReferenceSettings),
    PlainSerializer(_written),
]
"""A path, or a section with the spin or the energy."""
