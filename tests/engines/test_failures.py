"""Messages of pw.x and VASP, sorted into what another attempt may cure and what none can."""

import sys
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import EngineError
from defectscape.domain.frame import Frame, Origin, lowest_multiplicity
from defectscape.domain.keys import DefectKey
from defectscape.engines.espresso import ATTEMPTS, EspressoEngine
from defectscape.engines.espresso_output import failure_reason, is_final
from defectscape.engines.labelling import label_frame
from defectscape.engines.program import run_program
from defectscape.engines.vasp import ATTEMPTS as VASP_ATTEMPTS
from defectscape.engines.vasp_failures import failure
from defectscape.settings.espresso import EspressoSettings
from defectscape.store.labels import LabelStore
from support.mistakes import mistake

CURABLE_BY_PW = [
    ("electrons", "charge is wrong"),
    ("cdiaghg", "problems computing cholesky"),
    ("cdiaghg", "S matrix not positive definite"),
    ("rdiaghg", "S matrix not positive definite"),
    ("cegterg", "S matrix not positive definite"),
    ("cdiaghg", "eigenvectors failed to converge"),
    ("cdiaghg", "incorrect call to ZHEEV*"),
    ("c_bands", "too many bands are not converged"),
    ("efermig", "internal error, cannot bracket Ef"),
    ("efermit", "internal error, cannot bracket Ef"),
    ("broyden", "factorization"),
    ("zsqmred", "somthing wrong with row 3"),
    ("davcio", "error while reading from file: scratch/wfc1 not found"),
    ("davcio", "error reading file out/label.wfc1"),
    ("read_rhog", "error reading file ./out/label.save/charge-density"),
    ("v_xc", "negative density"),
    ("h_psi", "NaN in the wave functions"),
]
FINAL_FOR_PW = [
    ("readpp", "file ./pseudo/Si.UPF not found"),
    ("readpp", "file ./pseudo/Si.gth not found"),
    ("read_upf", "file ./pseudo/Si.UPF cannot be read"),
    ("upf_to_internal", "not a UPF"),
    ("read_pseudo", "Pseudopotential of another functional"),
    ("read_namelists", "reading namelist electrons"),
    ("read_cards", "reading ATOMIC_POSITIONS"),
    ("card_atomic_positions", "wrong number of columns in ATOMIC_POSITIONS"),
    ("iosys", "calculation=nonsense not allowed"),
    ("check_atoms", "atoms #   1 and #   2 overlap!"),
    ("set_dft_from_name", "conflicting values for igcx"),
]


SILICON = Frame(
    np.array([14, 14]),
    np.array([[0.0, 0, 0], [1.36, 1.36, 1.36]]),
    np.eye(3) * 8,
    DefectKey("v_Si", 0),
    lowest_multiplicity(np.array([14, 14]), 0),
    Origin.START,
    "v_Si/unperturbed",
)


def program_engine(folder: Path, routine: str, message: str) -> EspressoEngine:
    """With a program that fails with the same words whatever it is asked."""
    program = folder / "pw.py"
    program.write_text(f"import sys; print({crashed(routine, message)!r}); sys.exit(1)")
    (folder / "Si.UPF").write_text('<PP_HEADER element="Si" z_valence="4.0" pseudo_type="NC"/>')
    return EspressoEngine(
        EspressoSettings(
            kind="espresso",
            functional="pbe",
            command=f"{sys.executable} {program}",
            pseudo_dir=folder,
            pseudopotentials={"Si": "Si.UPF"},
            cutoff_Ry=14.0,
            kpoints=[1, 1, 1],
        )
    )


def crashed(routine: str, message: str) -> str:
    line = "%" * 60
    return f"\n {line}\n     Error in routine {routine} (1):\n     {message}\n {line}\n\n     stopping ...\n"


@pytest.mark.parametrize(("routine", "message"), CURABLE_BY_PW)
def test_pw_x_is_tried_again(routine: str, message: str) -> None:
    assert not is_final(failure_reason(crashed(routine, message), 1))


@pytest.mark.parametrize(("routine", "message"), FINAL_FOR_PW)
def test_pw_x_is_not_tried_again(routine: str, message: str) -> None:
    assert is_final(failure_reason(crashed(routine, message), 1))


@pytest.mark.parametrize(
    "output", ["     convergence NOT achieved after 100 iterations: stopping", "Program received signal SIGFPE", ""]
)
def test_pw_x_without_a_routine_is_tried_again(output: str) -> None:
    assert not is_final(failure_reason(output, 1))


@pytest.mark.parametrize(
    ("message", "tries"),
    [
        (("electrons", "charge is wrong"), len(ATTEMPTS)),
        (("cegterg", "S matrix not positive definite"), len(ATTEMPTS)),
        (("readpp", "file ./pseudo/Si.UPF not found"), 1),
    ],
)
def test_every_attempt_is_made_and_recorded(tmp_path: Path, message: tuple[str, str], tries: int) -> None:
    store = LabelStore(tmp_path / "labels")
    record = label_frame(SILICON, program_engine(tmp_path, *message), store, 30.0)
    assert record.failure is not None
    assert record.failure.count(message[1]) == tries
    assert len(store.calls()) == tries


CURABLE_BY_VASP = [
    "Error EDDDAV: Call to ZHEGV failed. Returncode =  12 3  57",
    "WARNING in EDDRMM: call to ZHEGV failed, returncode =   6  3     10",
    "BRMIX: very serious problems\n the old and the new charge density differ",
    "ZBRENT: fatal error in bracketing\n     please rerun with smaller EDIFF, or copy CONTCAR to POSCAR and continue",
    "ERROR in subspace rotation PSSYEVX: not enough eigenvalues found",
    "ERROR EDDIAG: Call to routine ZHEEV failed! 12",
    "WARNING: Sub-Space-Matrix is not hermitian in DAV           1",
    "EDWAV: internal error, the gradient is not orthogonal",
    "LAPACK: Routine ZPOTRF failed!",
    "VERY BAD NEWS! internal error in subroutine IBZKPT:\n Reciprocal lattice and k-lattice belong to different class",
    "internal error in subroutine PRICEL (probably precision problem, try to change SYMPREC in INCAR ?):",
    "internal error in subroutine SGRCON: Found some non-integer element in rotation matrix",
    "POSMAP internal error: symmetry equivalent atom not found",
    "inverse of rotation matrix was not found (increase SYMPREC) 5",
    "RSPHER: internal ERROR",
    "ERROR: SBESSELITER : nicht konvergent",
    "TOO FEW BANDS",
    "|  VASP internal routines  have requested a change of the k-point set.  |\n| remove the tag NPAR from the INCAR |",
    "forrtl: severe (174): SIGSEGV, segmentation fault occurred",
    "WARNING: type information on POSCAR and POTCAR are incompatible\nError EDDDAV: Call to ZHEGV failed",
    "something that nobody has seen before",
    "",
]
FINAL_FOR_VASP = [
    "ERROR: number of potentials on File POTCAR incompatible with number\n       of species",
    "POTCAR not found",
    "|     No initial positions read in      |",
    "Error reading item 'ENCUT' from file INCAR.\n Error code was IERR= 5",
    "ERROR: the triple product of the basis vectors\n     a(1) x a(2) . a(3) = -512.0",
    "ERROR: there must be 1 or 3 items on line 2 of POSCAR",
    "License of VASP has expired",
]


@pytest.mark.parametrize("output", CURABLE_BY_VASP)
def test_vasp_is_tried_again(output: str) -> None:
    banner = " running on    1 total cores\n POSCAR, INCAR and KPOINTS ok, starting setup\n"
    found = failure(banner + output, 1)
    assert not found.hopeless
    if output:
        words = output.splitlines()
        assert any(" ".join(line.strip(" |").split()) in found.reason for line in words)


@pytest.mark.parametrize("output", FINAL_FOR_VASP)
def test_vasp_is_not_tried_again(output: str) -> None:
    found = failure(output + "\n", 1)
    assert found.hopeless
    assert output.splitlines()[0].strip(" |") in found.reason


def test_a_program_that_is_refused_memory_and_one_that_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "vasp_std"
    told = []
    for text in ("Operating system error: Cannot allocate memory", "No space left on device", "exited on signal 9"):
        program.write_text(f"#!/bin/sh\necho '{text}'\nexit 1\n")
        program.chmod(0o755)
        with pytest.raises(EngineError) as caught:
            run_program(str(program), [], tmp_path, 60)
        told.append(str(caught.value))
    memory, disk, ended = told
    right = "no record; labelled by the next start with more of it"
    mistake(
        "engines",
        "a program that is refused memory (`Cannot allocate memory`, `insufficient virtual memory`, `bad_alloc`)",
        said=memory,
        when="run",
        right=right,
    )
    mistake(
        "engines",
        "a program that is refused room on a disk (`No space left on device`)",
        said=disk,
        when="run",
        right=right,
    )
    right = "no record; labelled by the next start"
    mistake("engines", "a program that the kernel or a batch system ends", said=ended, when="run", right=right)


@pytest.mark.parametrize(
    ("said", "lacking"),
    [
        ("forrtl: severe (41): insufficient virtual memory", "memory"),
        ("Operating system error: Cannot allocate memory", "memory"),
        ("Allocation would exceed memory limit", "memory"),
        ("terminate called after throwing an instance of std::bad_alloc", "memory"),
        ("forrtl: No space left on device", "room on its disk"),
        ("write error: Disk quota exceeded", "room on its disk"),
    ],
)
def test_too_little_memory_or_disk_is_no_result(tmp_path: Path, said: str, lacking: str) -> None:
    """More of it gives another answer, so that nothing may be recorded of the calculation."""
    program = tmp_path / "program.py"
    program.write_text(f"import sys; print({said!r}); sys.exit(1)")
    with pytest.raises(EngineError, match=f"not enough {lacking}"):
        run_program(f"{sys.executable} {program}", [], tmp_path, 60)
    program.write_text(f"print({said!r})")
    assert run_program(f"{sys.executable} {program}", [], tmp_path, 60).returncode == 0


def test_what_pw_x_says_and_how_often_it_is_tried(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels")
    curable = label_frame(SILICON, program_engine(tmp_path, "cegterg", "S matrix not positive definite"), store, 30.0)
    assert all(not is_final(failure_reason(crashed(*said), 1)) for said in CURABLE_BY_PW)
    mistake(
        "engines",
        "pw.x: `charge is wrong`, `S matrix not positive definite`, `problems computing cholesky`, `too many bands are "
        "not converged`, `cannot bracket Ef`, a file of wave functions `not found`",
        said=str(curable.failure),
        when="run",
        right=f"{len(store.calls())} attempts made, a failure with every reason recorded",
    )
    other = LabelStore(tmp_path / "others")
    final = label_frame(SILICON, program_engine(tmp_path, "readpp", "file ./pseudo/Si.UPF not found"), other, 30.0)
    mistake(
        "engines",
        "pw.x: pseudopotential missing or broken, wrong namelist or card, atoms that overlap",
        said=str(final.failure),
        when="run",
        right=f"{len(other.calls())} attempt made, a failure recorded",
    )


def test_what_vasp_says_and_whether_it_is_tried_again() -> None:
    curable = failure("POSCAR, INCAR and KPOINTS ok, starting setup\n" + CURABLE_BY_VASP[0] + "\nstopped\n", 1)
    final = failure(FINAL_FOR_VASP[0] + "\n", 1)
    assert (curable.hopeless, final.hopeless) == (False, True)
    mistake(
        "engines",
        "VASP: EDDDAV, EDDRMM, BRMIX, ZBRENT, PSSYEVX, ZHEEV, EDWAV, VERY BAD NEWS",
        said=curable.reason,
        when="run",
        right=f"the line that says it, not the last one; all {len(VASP_ATTEMPTS)} attempts made",
    )
    mistake(
        "engines",
        "VASP: number of potentials on POTCAR, an item of INCAR that cannot be read, a negative triple product",
        said=final.reason,
        when="run",
        right="one attempt, recorded as a failure",
    )
