#!/usr/bin/env bash
# State of a Slurm job in Snakemake's words, without an accounting database. A controller that does not answer
# is asked again: a job called failed while it runs would be submitted a second time.
set -euo pipefail
for _ in 1 2 3 4 5 6; do
    if text=$(scontrol show job "$1" 2>&1); then
        state=$(sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' <<<"$text" | head -n 1)
        case "$state" in
        COMPLETED) echo success ;;
        PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED) echo running ;;
        *) echo failed ;;
        esac
        exit 0
    fi
    [[ "$text" == *"Invalid job id"* ]] && break
    sleep 5
done
echo "$text" >&2
echo failed
