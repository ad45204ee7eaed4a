"""``python -m defectscape``: the command-line program, where it is not installed."""

from defectscape.cli.app import main

main()
