"""Where every file of a study lives. The workflow and the stages ask here, so they cannot differ.

A charge state is given as its defect key; the workflow gives a wildcard in its place.

What is made of all groups together (final training, levels, diagrams, summary, page) can be made of the finished
groups alone: then it is in a folder of its own, and the files of host and groups are the same.
"""

from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.keys import DefectKey

PARTIAL = "partial"
"""Folder in a study's: what is made of its finished groups while others are not."""


@dataclass(frozen=True)
class GroupRound:
    """Files of one round of one exploration group; round 0 is the initial training."""

    folder: Path

    @property
    def selected(self) -> Path:
        """Frames that get a high-fidelity label in this round."""
        return self.folder / "selected.extxyz"

    @property
    def selected_low(self) -> Path:
        """Frames that get a low-fidelity label in this round, from round 1 on; round 0 has the pool."""
        return self.folder / "selected_low.extxyz"

    def labels(self, fidelity: str, chunk: int | str, chunks: int | None) -> Path:
        """Outcome of one labelling job.

        Args:
            fidelity: ``low`` or ``high``.
            chunk: number of the job.
            chunks: how many there are; None where ``chunk`` is both, as ``3-of-7``.
        """
        name = chunk if chunks is None else f"{chunk}-of-{chunks}"
        return self.folder / f"labels_{fidelity}" / f"{name}.json"

    def relaxed(self, key: DefectKey | str) -> Path:
        """Frames of the low-fidelity relaxations of the last search's minima, of one key."""
        return self.folder / "relaxed" / f"{key}.extxyz"

    def relaxed_ends(self, key: DefectKey | str) -> Path:
        """Where these relaxations ended."""
        return self.folder / "relaxed" / f"{key}_ends.extxyz"

    def relaxed_outcomes(self, key: DefectKey | str) -> Path:
        """What became of their labels."""
        return self.folder / "relaxed" / f"{key}.json"

    @property
    def data_low(self) -> Path:
        """All low-fidelity labels known to the group after this round."""
        return self.folder / "data_low.extxyz"

    @property
    def data_high(self) -> Path:
        """All high-fidelity labels known to the group after this round."""
        return self.folder / "data_high.extxyz"

    def jumps(self, fidelity: str) -> Path:
        """Labels that their neighbours contradict; ``fidelity`` is ``low`` or ``high``."""
        return self.folder / f"jumps_{fidelity}.json"

    def model(self, member: int | str) -> Path:
        """A committee member, as mace's calculators load it."""
        return self.folder / f"model_{member}.model"

    def weights(self, member: int | str) -> Path:
        """The same member as plain values and tensors, which the search reads."""
        return self.folder / f"model_{member}.weights"

    def history(self, member: int | str) -> Path:
        """How that member was trained."""
        return self.folder / f"model_{member}.json"

    def of_member(self, member: int | str) -> tuple[Path, Path, Path]:
        """Every file of a member."""
        return self.model(member), self.weights(member), self.history(member)

    @property
    def relaxations(self) -> Path:
        """Every relaxation of this round's search."""
        return self.folder / "relaxations.json"

    @property
    def gates(self) -> Path:
        """What the checks measured on this round's committee."""
        return self.folder / "gates.json"

    @property
    def standings(self) -> Path:
        """Which charge states are settled after this round's search; there with ``exploration.settled_eV`` alone."""
        return self.folder / "standings.json"


@dataclass(frozen=True)
class GroupFiles:
    """Files of one exploration group."""

    folder: Path

    @property
    def starts(self) -> Path:
        """Starting structures of the relaxations."""
        return self.folder / "starts.extxyz"

    def to_label(self, fidelity: str, number: int) -> Path:
        """The frames that the labelling jobs of a fidelity (``low`` or ``high``) label in a round."""
        if fidelity == "high":
            return self.round(number).selected
        return self.pool if number == 0 else self.round(number).selected_low

    @property
    def pool(self) -> Path:
        """The dense pool: every frame that gets a low-fidelity label."""
        return self.folder / "pool.extxyz"

    def relaxed(self, key: DefectKey | str) -> Path:
        """Frames of the low-fidelity relaxations of one key's starts."""
        return self.folder / "relaxed" / f"{key}.extxyz"

    def relaxed_outcomes(self, key: DefectKey | str) -> Path:
        """What became of their labels."""
        return self.folder / "relaxed" / f"{key}.json"

    @property
    def splits(self) -> Path:
        """Which geometry family trains, validates or tests."""
        return self.folder / "splits.json"

    def round(self, number: int | str) -> GroupRound:
        """One round."""
        return GroupRound(self.folder / f"round_{number}")

    @property
    def relaxations(self) -> Path:
        """Every relaxation of the final search."""
        return self.folder / "relaxations.json"

    @property
    def gates(self) -> Path:
        """What the checks measured on the last committee."""
        return self.folder / "gates.json"

    @property
    def starts_tried(self) -> Path:
        """How many starts the final search tried; there with ``search.until_nothing_new`` alone."""
        return self.folder / "starts_tried.json"

    @property
    def minima(self) -> Path:
        """Merged, ranked minima."""
        return self.folder / "minima.json"

    def verified(self, key: DefectKey | str) -> Path:
        """Minima of one charge state with the engine's verdict."""
        return self.folder / "verified" / f"{key}.json"

    def assessment(self, key: DefectKey | str) -> Path:
        """How far the ground state of one charge state can be trusted."""
        return self.folder / "verified" / f"{key}_assessment.json"

    def spin_check(self, key: DefectKey | str) -> Path:
        """The ground state of one charge state at another spin multiplicity."""
        return self.folder / "verified" / f"{key}_spin.json"

    def relearned(self, key: DefectKey | str) -> Path:
        """Folder of the models that learn during a verification, while it lasts."""
        return self.folder / f"relearned_{key}"

    def verified_labels(self, key: DefectKey | str) -> Path:
        """Every label that their verification took."""
        return self.folder / "verified" / f"{key}.extxyz"


@dataclass(frozen=True)
class Layout:
    """Files of one study.

    Attributes:
        folder: the study's.
        part: folder in it of what is made of a part of the groups; empty for the whole study.
    """

    folder: Path
    part: str = ""

    @property
    def together(self) -> Path:
        """Folder of what is made of all groups together, or of those that are finished."""
        return self.folder / self.part

    @property
    def unfinished(self) -> Path:
        """The groups that a partial page lacks."""
        return self.folder / PARTIAL / "unfinished.json"

    @property
    def host(self) -> Path:
        """The (relaxed) host and its supercell."""
        return self.folder / "host" / "host.json"

    @property
    def unitcell(self) -> Path:
        """POSCAR of the (relaxed) unit cell."""
        return self.folder / "host" / "unitcell.vasp"

    @property
    def supercell(self) -> Path:
        """POSCAR of the perfect supercell."""
        return self.folder / "host" / "supercell.vasp"

    @property
    def host_labels(self) -> Path:
        """Labels of the perfect supercell, before which no other label is made."""
        return self.folder / "host" / "labels.json"

    @property
    def host_stability(self) -> Path:
        """Where distortions of the perfect supercell relaxed to."""
        return self.folder / "host" / "stability.json"

    @property
    def lower_host(self) -> Path:
        """POSCAR of a structure of the crystal that is lower than the host, if one was found."""
        return self.folder / "host" / "lower.vasp"

    @property
    def references(self) -> Path:
        """Labels of the perfect supercell and of the elements."""
        return self.folder / "host" / "references.json"

    @property
    def sites(self) -> Path:
        """The site table."""
        return self.folder / "host" / "sites.json"

    @property
    def names(self) -> Path:
        """Our names of the defects that the study's file names as doped does."""
        return self.folder / "host" / "names.json"

    def group(self, name: str) -> GroupFiles:
        """Files of one exploration group."""
        return GroupFiles(self.folder / "groups" / name)

    @property
    def final(self) -> GroupRound:
        """Data and committee of the final training."""
        return GroupRound(self.together / "final")

    @property
    def final_splits(self) -> Path:
        """Splits of all groups together."""
        return self.together / "final" / "splits.json"

    @property
    def calibration(self) -> Path:
        """Factors from the final committee's spread to error bars, and their coverage."""
        return self.together / "final" / "calibration.json"

    @property
    def errors(self) -> Path:
        """Held-out errors and parity data of the final committee."""
        return self.together / "final" / "errors.json"

    @property
    def energies(self) -> Path:
        """Ground states, formation energies and levels."""
        return self.together / "thermo" / "levels.json"

    def potentials(self, name: DefectKey | str) -> Path:
        """Potentials at the atoms of a key's ground state, or of the ``host``."""
        return self.folder / "thermo" / "potentials" / f"{name}.json"

    @property
    def thermodynamics(self) -> Path:
        """doped's DefectThermodynamics."""
        return self.together / "thermo" / "thermodynamics.json"

    @property
    def ccd(self) -> Path:
        """Configuration-coordinate diagrams."""
        return self.together / "ccd" / "ccd.json"

    @property
    def ccd_check(self) -> Path:
        """Points of the diagrams by the engine."""
        return self.together / "ccd" / "engine.json"

    @property
    def minima_folder(self) -> Path:
        """POSCARs of all minima."""
        return self.together / "minima"

    @property
    def minima_extxyz(self) -> Path:
        """All minima in one file."""
        return self.together / "minima.extxyz"

    @property
    def summary(self) -> Path:
        """The machine-readable summary."""
        return self.together / "summary.json"

    @property
    def handover(self) -> Path:
        """Folders for a last relaxation by hand."""
        return self.together / "handover"

    @property
    def model_card(self) -> Path:
        """The final model in words."""
        return self.together / "final" / "MODEL_CARD.md"

    @property
    def report(self) -> Path:
        """The page."""
        return self.together / "report.html"

    @property
    def figures(self) -> Path:
        """Static figures of the report."""
        return self.together / "figures"

    @property
    def tables(self) -> Path:
        """Tables of the report as CSV."""
        return self.together / "tables"

    @property
    def benchmarks(self) -> Path:
        """Snakemake's benchmark files."""
        return self.together / "benchmarks"

    @property
    def logs(self) -> Path:
        """Logs of the rules."""
        return self.together / "logs"
