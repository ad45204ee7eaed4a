"""Where the relative paths of a study start."""

from pathlib import Path

from defectscape.settings.study import Study
from defectscape.settings.thermo import ThermoSettings


def reference_files(thermo: ThermoSettings) -> list[Path]:
    """Structures of the elements and of the competing phases, as far as they have files."""
    references = [*thermo.elemental_references.values(), *thermo.competing_phases.values()]
    return [reference.file for reference in references if reference.file is not None]


def input_files(study: Study) -> list[Path]:
    """Structures and data sets that a study reads, each once."""
    thermo = study.thermo
    files = [study.host.file, *reference_files(thermo), *study.imported]
    return list(dict.fromkeys(files))


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
