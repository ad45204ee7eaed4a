"""Print the jobs of a study in an order that they can run in: what Snakemake would do, job by job, as JSON.

Run in the study's folder as ``python -m support.list_jobs study.yaml results``. A process of its own, since Snakemake
changes logging and the working directory.
"""

import json
import sys
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

from support import ROOT


def list_jobs(study: str, results: str) -> list[dict[str, Any]]:
    """All that the DAG says of every job, each after those that it needs."""
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=2),
            config_settings=ConfigSettings(config={"study": study, "results": results}),
            snakefile=ROOT / "Snakefile",
            workdir=Path.cwd(),
        )
        workflow.dag().execute_workflow(executor="dryrun")
        dag = workflow._workflow.dag
        return [
            {
                "rule": job.rule.name,
                "wildcards": dict(job.wildcards_dict),
                "input": list(map(str, job.input)),
                "output": list(map(str, job.output)),
                "log": list(map(str, job.log)),
                "benchmark": str(job.benchmark or ""),
                "settings": job.params.get("settings"),
                "command": job.shellcmd or "",
                "memory_MB": job.resources.get("mem_mb"),
            }
            for level in dag.toposorted()
            for job in sorted(level, key=lambda job: (job.rule.name, sorted(job.wildcards_dict.items())))
        ]


if __name__ == "__main__":
    json.dump(list_jobs(*sys.argv[1:]), sys.stdout)
