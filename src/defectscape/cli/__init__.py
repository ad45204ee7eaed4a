"""The command line: one subcommand per stage, and those that people type."""
