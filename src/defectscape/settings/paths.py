"""Which file a study is read from, and where its relative paths start."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from defectscape.domain.errors import ConfigError
from defectscape.settings.study import Study
from defectscape.settings.thermo import DensityOfStates, ThermoSettings


def reference_files(thermo: ThermoSettings) -> list[Path]:
    """Structures of the elements and of the competing phases, as far as they have files."""
    references = [*thermo.elemental_references.values(), *thermo.competing_phases.values()]
    return [reference.file for reference in references if reference.file is not None]


def input_files(study: Study) -> list[Path]:
    """Structures and data sets that a study reads, each once."""
    files = [study.host.file, *reference_files(study.thermo), *study.imported]
    return list(dict.fromkeys(files))


def named_files(study: Study) -> dict[str, Path]:
    """Every file that the study names, by the key that names it; not the engines', which may have only titles of it."""
    thermo = study.thermo
    found = {"host.file": study.host.file}
    for key, references in (
        ("elemental_references", thermo.elemental_references),
        ("competing_phases", thermo.competing_phases),
    ):
        found |= {f"thermo.{key}.{name}": item.file for name, item in references.items() if item.file is not None}
    found |= {f"imported.{place}": path for place, path in enumerate(study.imported)}
    for key, training in (("exploration.training", study.exploration.training), ("training", study.training)):
        if training.foundation is not None:
            found[f"{key}.foundation"] = training.foundation
    if thermo.concentrations is not None and isinstance(thermo.concentrations.bands, DensityOfStates):
        found["thermo.concentrations.bands.file"] = thermo.concentrations.bands.file
    return found


def check_files(study: Study) -> None:
    """Every file that the study names is there: costs nothing, so each reading of the workflow may ask.

    Raises:
        ConfigError: naming all that are not.
    """
    missing = {key: path for key, path in named_files(study).items() if not path.is_file()}
    if missing:
        first, *others = missing
        more = f" (nor {', '.join(f'{missing[key]} of {key}' for key in others)})" if others else ""
        raise ConfigError(
            first,
            f"{missing[first]}{more}",
            "There is no such file; correct the path, which starts in the study's folder if one of its files is there, "
            "else in the working directory",
        )


def home(study: Study, file: Path) -> Path:
    """The folder that all relative paths of a study start in.

    It is the folder of the study's file if one of the files that the study reads is there, so that a
    folder with a study and its structures can be used from anywhere. Otherwise it is the working
    directory: studies in ``config/`` of a clone name their files from there.

    Args:
        study: the study, with its paths as they are written in the file.
        file: the study's file.
    """
    relative = [path for path in input_files(study) if not path.is_absolute()]
    return file.parent if any((file.parent / path).exists() for path in relative) else Path()


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
