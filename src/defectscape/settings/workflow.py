"""Which study snakemake is to run: what its options say of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from defectscape.domain.errors import ConfigError

KEYS = ("study", "results")
"""What the workflow takes with ``--config``."""

DEFAULT = "config/config.yaml"


def study_file(given: Mapping[str, Any], configfiles: Sequence[Path]) -> Path:
    """The study's file: that of ``--config study=FILE``, or of ``--configfile FILE``.

    Args:
        given: what ``--config`` says.
        configfiles: what ``--configfile`` says; a study has a key of the name ``study`` itself, its name.

    Raises:
        ConfigError: if something else is given, which nothing would read.
    """
    strangers = sorted(set(given) - set(KEYS))
    if strangers:
        raise ConfigError(
            f"--config {strangers[0]}",
            given[strangers[0]],
            "The workflow takes study=FILE and results=FOLDER; settings are written into the study's file",
        )
    if "study" not in given and len(configfiles) > 1:
        raise ConfigError("--configfile", " ".join(map(str, configfiles)), "A study is one file; give that one")
    if "study" not in given and configfiles:
        return configfiles[0]
    named = Path(str(given.get("study", DEFAULT)))
    likely = [path for path in (Path(f"{named}.yaml"), Path(f"{named}.yml")) if path.is_file()]
    if not named.is_file() and likely:
        raise ConfigError("--config study", named, f"There is no such file; give the file: study={likely[0]}")
    return named
