"""An ASE calculator in another Python: its packages need not agree with ours.

Potentials and programs pin what they need (sevenn an e3nn that MACE cannot have), so each may live in an
environment of its own. There ``ase_program.py`` runs by its path: with numpy and ASE, and without this package.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from defectscape.domain.errors import EngineError
from defectscape.engines import ase_program
from defectscape.engines.worker_process import PLAIN, WorkerClock, WorkerProcess

OLDEST = (3, 9)
"""The oldest Python that ``ase_program.py`` is written for."""

NEEDED = ("numpy", "ase")

LONGEST_START_S = 60.0
"""For an interpreter alone, without any package."""

_QUESTION = (
    "import importlib.util, json, sys; "
    "print(json.dumps([sys.version_info[:2], [n for n in sys.argv[1:] if importlib.util.find_spec(n) is None]]))"
)


class ExternalCalculator:
    """A calculator's class in another Python; its process is started with the first question, and again if it dies.

    Args:
        python: the interpreter; a link is not followed, since an environment's Python is one.
        path: the class with its module.
        name: the engine's, for messages.
        time_limit_s: wall time after which one calculation is ended and fails, s.
    """

    def __init__(self, python: Path, path: str, name: str, time_limit_s: float) -> None:
        self.python = python.absolute()
        self.path = path
        self.name = name
        self._time_limit_s = time_limit_s
        self._worker: WorkerProcess | None = None
        self.core_seconds = WorkerClock()
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Name and version of the calculator's package there. Raises EngineError if it cannot be started."""
        if self._version is None:
            self.start()
        return str(self._version)

    def ask(self, question: Mapping[str, Any]) -> ase_program.Answer:
        """As ``ase_program.answer``.

        Raises:
            CalculationFailed: if the process dies or takes too long.
            EngineError: if it cannot be started, or somebody else ended it.
        """
        if self._worker is None or not self._worker.alive:
            self._worker = self.start()
        told: ase_program.Answer = self._worker.ask(dict(question), self._time_limit_s)
        return told

    def start(self) -> WorkerProcess:
        """The process, once it has found the calculator.

        Raises:
            EngineError: if the interpreter, a package that it needs, or the calculator is not there.
        """
        check_python(self.python)
        # -I: neither our PYTHONPATH, nor the study's folder, nor the user's own packages are that environment's.
        command = [str(self.python), "-I", ase_program.__file__, self.path]
        worker = WorkerProcess(command, _surroundings(self.python), PLAIN, self.name)
        hello = worker.greet()
        if hello["kind"] == "refused":
            thing, value, remedy = hello["words"]
            raise EngineError(f"{thing} in {self.python}", value, remedy)
        self._version = hello["version"]
        self._worker = worker
        self.core_seconds.follow(worker)
        return worker


def check_python(python: Path) -> None:
    """The interpreter starts, is new enough, and has what ``ase_program.py`` imports.

    Raises:
        EngineError: if not.
    """
    thing = f"engine.python {python}"
    if not python.is_file():
        raise EngineError(thing, "there is no such file", "Give the path of an interpreter: .venv-name/bin/python")
    if not os.access(python, os.X_OK):
        raise EngineError(thing, "is not executable", "Give the interpreter itself: .venv-name/bin/python")
    version, missing = _tell(python, thing)
    if version < OLDEST:
        raise EngineError(
            thing,
            f"is Python {'.'.join(map(str, version))}",
            f"Make an environment of Python {'.'.join(map(str, OLDEST))} or newer",
        )
    if missing:
        names = " ".join(missing)
        raise EngineError(thing, f"lacks {names}", f"Install it there: {python} -m pip install {names}")


def _tell(python: Path, thing: str) -> tuple[tuple[int, ...], list[str]]:
    """The interpreter's version, and which of ``NEEDED`` it lacks."""
    remedy = "Give the path of a Python interpreter that starts on this machine"
    try:
        done = subprocess.run(
            [python, "-I", "-c", _QUESTION, *NEEDED],
            env=_surroundings(python),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST_START_S,
            check=True,
        )
        version, missing = json.loads(done.stdout)
        return tuple(version), list(missing)
    except OSError as error:
        raise EngineError(thing, f"does not start ({error.strerror or error})", remedy) from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(thing, f"had not started after {LONGEST_START_S:g} s", remedy) from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no words"]
        raise EngineError(thing, f"does not start (exit status {error.returncode}: {words[0]})", remedy) from error
    except (ValueError, TypeError) as error:
        raise EngineError(thing, "is no Python interpreter", remedy) from error


def _surroundings(python: Path) -> dict[str, str]:
    """Environment variables: ours, without what would lead that Python to our packages; its programs come first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
