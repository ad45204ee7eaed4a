"""Silence around libraries that print, warn and change the interpreter's warning settings.

doped and ShakeNBreak replace ``warnings.formatwarning``, add warning filters when imported, print
tables and draw progress bars. A study's log must not depend on that, so they are imported and
called inside ``quiet``, which restores everything. What they warn of goes to the log, and to whoever
listens: a warning that bears on a number belongs beside the number.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar

log = logging.getLogger(__name__)

_listener: ContextVar[list[str] | None] = ContextVar("listener", default=None)


@contextmanager
def listening() -> Iterator[list[str]]:
    """A list that every ``quiet`` block inside fills with its libraries' warnings, each once."""
    heard: list[str] = []
    token = _listener.set(heard)
    try:
        yield heard
    finally:
        _listener.reset(token)


@contextmanager
def quiet(what: str) -> Iterator[None]:
    """Run a block without its printing, logging and warnings; our log keeps them.

    Args:
        what: name of the block, for the log.
    """
    formatter = warnings.formatwarning
    threshold = logging.root.manager.disable
    printed = io.StringIO()
    caught: list[warnings.WarningMessage] = []
    try:
        logging.disable(logging.WARNING)
        with (
            warnings.catch_warnings(record=True) as caught,
            redirect_stdout(printed),
            redirect_stderr(printed),
        ):
            warnings.simplefilter("default")
            yield
    finally:
        warnings.formatwarning = formatter
        logging.disable(threshold)
        if text := printed.getvalue().strip():
            log.debug("%s: %s", what, text)
        said = (f"{what}: {' '.join(str(w.message).split())}" for w in caught if w.category is UserWarning)
        for text in dict.fromkeys(said):
            log.warning("%s", text)
            heard = _listener.get()
            if heard is not None and text not in heard:
                heard.append(text)
