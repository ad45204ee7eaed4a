"""A real Slurm of one node on this machine, for tests: munge, slurmctld and slurmd, without systemd.

It needs root and Debian's ``slurm-wlm`` and ``munge``. Slurm's job-step executor drops every ``SLURM_*``
variable, ``SLURM_CONF`` too, so the configuration lies where Slurm looks by itself; one that is
there already and not ours is left alone. Accounting, cgroups and job arrays' database are off.
"""

import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")
CLUSTER = "defectscape-tests"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")


def why_not() -> str | None:
    """The reason why no Slurm can be started here, or None."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"no {', '.join(missing)}: install Debian's slurm-wlm and munge"
    if os.geteuid() != 0:
        return "starting slurmctld and slurmd needs root"
    if CONFIGURATION.exists() and CLUSTER not in CONFIGURATION.read_text():
        return f"{CONFIGURATION} belongs to a cluster"
    return None


def run(*command: str | Path) -> str:
    """Standard output of a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class SlurmNode:
    """A running cluster of one node.

    Attributes:
        folder: state, spool and logs.
        cpus: cores that it hands out.
    """

    folder: Path
    cpus: int

    @property
    def name(self) -> str:
        """The node's name."""
        return platform.node().partition(".")[0]

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        for part in ("munge", "ctld", "slurmd", "log", "run"):
            (self.folder / part).mkdir(parents=True)
        # munge trusts no key below a folder that others can write into.
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o755)
        key = self.folder / "munge/munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        munge = self.folder / "munge"
        run(
            "munged",
            "--force",
            f"--key-file={key}",
            f"--socket={munge}/socket",
            f"--pid-file={munge}/pid",
            f"--log-file={munge}/log",
            f"--seed-file={munge}/seed",
        )
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(self._configuration())
        run("slurmctld", "-f", CONFIGURATION)
        self.start_slurmd()

    def start_slurmd(self, *, resume: bool = False) -> None:
        """Start the node's daemon and wait until the node is idle or at work."""
        run("slurmd", "-f", CONFIGURATION, "-N", self.name, "-b")
        if resume:
            # It may have returned by itself already (ReturnToService), which is then refused.
            subprocess.run(
                ["scontrol", "update", f"nodename={self.name}", "state=resume"],
                check=False,
                capture_output=True,
            )
        deadline = time.monotonic() + 60
        state = ""
        while state.rstrip("*") not in ("idle", "mixed", "allocated"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the node is {state!r}: {self.logs()}")
            time.sleep(0.3)
            found = subprocess.run(["sinfo", "-h", "-o", "%T"], check=False, capture_output=True, text=True)
            state = found.stdout.strip()

    def stop_slurmd(self) -> None:
        """Take the node away with everything that runs on it."""
        self._kill("run/slurmd.pid")
        subprocess.run(["pkill", "-KILL", "slurmstepd"], check=False)

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        subprocess.run(["scancel", "--user=root"], check=False, capture_output=True)
        time.sleep(1)
        for pid in ("run/slurmd.pid", "run/slurmctld.pid", "munge/pid"):
            self._kill(pid)
        CONFIGURATION.unlink(missing_ok=True)

    def _kill(self, pid: str) -> None:
        path = self.folder / pid
        if path.exists():
            subprocess.run(["kill", path.read_text().strip()], check=False)

    def jobs(self) -> list[tuple[str, str]]:
        """Comment (rule and wildcards) and state of all jobs that are known, in order of their numbers."""
        text = run("squeue", "-h", "--states=all", "--sort=i", "-o", "%T|%k")
        return [(line.partition("|")[2], line.partition("|")[0]) for line in text.splitlines()]

    def logs(self) -> str:
        """The last lines of the daemons' logs."""
        return "\n".join(path.read_text()[-1500:] for path in (self.folder / "log").glob("*.log"))

    def _configuration(self) -> str:
        folder = self.folder
        settings = {
            "ClusterName": CLUSTER,
            "SlurmctldHost": f"{self.name}(127.0.0.1)",
            "SlurmUser": "root",
            "SlurmdUser": "root",
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder}/munge/socket",
            "CredType": "cred/munge",
            "SlurmctldPort": 26817,
            "SlurmdPort": 26818,
            "StateSaveLocation": folder / "ctld",
            "SlurmdSpoolDir": folder / "slurmd",
            "SlurmctldPidFile": folder / "run/slurmctld.pid",
            "SlurmdPidFile": folder / "run/slurmd.pid",
            "SlurmctldLogFile": folder / "log/slurmctld.log",
            "SlurmdLogFile": folder / "log/slurmd.log",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/none",
            "AccountingStorageType": "accounting_storage/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_CPU_Memory",
            "SchedulerParameters": "batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=2",
            "MpiDefault": "none",
            "SwitchType": "switch/none",
            "ReturnToService": 2,
            "KillWait": 2,
            "SlurmdTimeout": 10,
            "InactiveLimit": 0,
            "SlurmdParameters": "config_overrides",
            "MinJobAge": 3600,
            "DefMemPerCPU": 500,
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        lines += [
            f"NodeName={self.name} NodeAddr=127.0.0.1 CPUs={self.cpus} RealMemory=20000 State=UNKNOWN",
            f"PartitionName=tests Nodes={self.name} Default=YES MaxTime=1440 DefaultTime=10 State=UP",
        ]
        return "\n".join(lines) + "\n"
