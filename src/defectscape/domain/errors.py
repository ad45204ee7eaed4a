"""Errors that name the thing, its value and the remedy, in one line.

Every error that a user can cause derives from ``DefectscapeError``; the command line prints its
message without a traceback. Anything else that escapes is a defect of this package.
"""


class DefectscapeError(Exception):
    """A fault that the user can mend.

    Args:
        thing: what is wrong (a config key, a file, a frame).
        value: the offending value, as the user wrote it or as it was found.
        remedy: what to do about it.
    """

    def __init__(self, thing: str, value: object, remedy: str) -> None:
        self.thing = thing
        self.value = value
        self.remedy = remedy
        super().__init__(" ".join(f"{thing}: {value}. {remedy}".split()))


class ConfigError(DefectscapeError):
    """The study's configuration is wrong."""


class HostError(DefectscapeError):
    """The host crystal cannot be used."""


class DefectError(DefectscapeError):
    """A defect or charge state cannot be made."""


class EngineError(DefectscapeError):
    """An engine is missing or cannot run at all (one failed label is not an error but a record)."""


class JobError(DefectscapeError):
    """A job ended before its work did; it goes on where it was when it runs again."""


class StoreError(DefectscapeError):
    """A record of the label store cannot be trusted."""


class LabelError(DefectscapeError):
    """A label is not finite, or is missing where it is needed."""


class ModelError(DefectscapeError):
    """A model cannot be built, trained, loaded or asked this question."""


class CheckError(DefectscapeError):
    """A check of a committee found that charge or fidelity does not reach the model."""


class SearchError(DefectscapeError):
    """A search produced nothing that can be used."""


class ThermoError(DefectscapeError):
    """Formation energies or levels cannot be computed from what is there."""
