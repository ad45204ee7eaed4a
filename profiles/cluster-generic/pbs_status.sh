#!/usr/bin/env bash
# State of a PBS job in Snakemake's words; `qstat -x` knows finished jobs, too.
set -euo pipefail
text=$(qstat -x -f "$1" 2>/dev/null) || { echo failed; exit 0; }
state=$(sed -n 's/^ *job_state = //p' <<<"$text")
status=$(sed -n 's/^ *Exit_status = //p' <<<"$text")
case "$state" in
F) if [ "${status:-1}" = 0 ]; then echo success; else echo failed; fi ;;
*) echo running ;;
esac
