# The whole study: `snakemake --cores 2`, or `make run`.
#
# Another study: `snakemake --cores 2 --config study=config/my_study.yaml`.
# The shape of the DAG is fixed by the study's file; see docs/architecture.md for its picture.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/host.smk"
include: "workflow/rules/sampling.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/exploration.smk"
include: "workflow/rules/final.smk"
include: "workflow/rules/corrections.smk"
include: "workflow/rules/report.smk"


rule all:
    """The report of the study and everything that it is made from."""
    default_target: True
    input:
        str(LAYOUT.report),
        str(LAYOUT.summary),
        str(LAYOUT.model_card),
    localrule: True
