#!/usr/bin/env bash
# State of a Grid Engine job in Snakemake's words. A job that has ended leaves `qstat` some seconds before
# `qacct` knows it, and one that was put back into the queue has several records there: the last one counts.
set -euo pipefail
for _ in $(seq 30); do
    if state=$(qstat -u '*' 2>/dev/null | awk -v job="$1" '$1 == job {print $5; exit}') && [ -n "$state" ]; then
        # An E is an error of the scheduler's, in which a job waits for ever.
        case "$state" in
        *E*) echo failed ;;
        *) echo running ;;
        esac
        exit 0
    fi
    if record=$(qacct -j "$1" 2>/dev/null); then
        failed=$(awk '$1 == "failed" {last = $2} END {print last}' <<<"$record")
        status=$(awk '$1 == "exit_status" {last = $2} END {print last}' <<<"$record")
        if [ "$failed" = 0 ] && [ "$status" = 0 ]; then echo success; else echo failed; fi
        exit 0
    fi
    sleep 2
done
echo "neither qstat nor qacct knows job $1" >&2
echo failed
