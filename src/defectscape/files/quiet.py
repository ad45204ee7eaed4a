"""Silence around libraries that print, warn and change the interpreter's warning settings.

doped and ShakeNBreak replace ``warnings.formatwarning``, add warning filters when imported, print
tables and draw progress bars. A study's log must not depend on that, so they are imported and
called inside ``quiet``, which puts everything back.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

log = logging.getLogger(__name__)


@contextmanager
def quiet(what: str) -> Iterator[None]:
    """Run a block with warnings and logging off; what it printed goes to the debug log.

    Args:
        what: name of the block, for the log.
    """
    formatter = warnings.formatwarning
    threshold = logging.root.manager.disable
    spoken = io.StringIO()
    try:
        logging.disable(logging.WARNING)
        with warnings.catch_warnings(), redirect_stdout(spoken), redirect_stderr(spoken):
            warnings.simplefilter("ignore")
            yield
    finally:
        warnings.formatwarning = formatter
        logging.disable(threshold)
        if text := spoken.getvalue().strip():
            log.debug("%s: %s", what, text)
