#!/usr/bin/env bash
# State of a PBS job in Snakemake's words; `qstat -x` knows finished jobs, too. A server that does not answer is
# asked again: a job called failed while it runs would be submitted a second time.
set -euo pipefail
for _ in 1 2 3 4 5 6; do
    if text=$(qstat -x -f "$1" 2>&1); then
        state=$(sed -n 's/^ *job_state = //p' <<<"$text")
        status=$(sed -n 's/^ *Exit_status = //p' <<<"$text")
        case "$state" in
        F) if [ "${status:-1}" = 0 ]; then echo success; else echo failed; fi ;;
        *) echo running ;;
        esac
        exit 0
    fi
    [[ "$text" == *"Unknown Job Id"* ]] && break
    sleep 5
done
echo "$text" >&2
echo failed
