"""Logging of a command: everything to the rule's log file, progress to the terminal."""

import logging
import sys
from pathlib import Path

OURS = "defectscape"


def write_to_log(text: str) -> None:
    """Add a line to the log file alone, if there is one."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            handler.stream.write(f"{text}\n")
            handler.flush()


def start_logging(path: Path | None) -> None:
    """Send our messages to ``path`` (in full) and to standard error (short).

    Args:
        path: log file of the rule, or None for the terminal alone.
    """
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(logging.INFO)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.addFilter(logging.Filter(OURS))
    terminal.setFormatter(logging.Formatter("  %(asctime)s %(message)s", datefmt="%H:%M:%S"))
    handlers: list[logging.Handler] = [terminal]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        full = logging.FileHandler(path, mode="w", encoding="utf-8")
        full.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(full)
    root.handlers[:] = handlers
