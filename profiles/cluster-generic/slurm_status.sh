#!/usr/bin/env bash
# State of a Slurm job in Snakemake's words, without an accounting database.
set -euo pipefail
state=$(scontrol show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | head -n 1)
case "$state" in
COMPLETED) echo success ;;
PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED) echo running ;;
*) echo failed ;;
esac
