"""Base of all entries of the summary."""

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """Base of all entries: no unknown field, no change after making."""

    model_config = ConfigDict(extra="forbid", frozen=True)
