"""Calls into doped without its side effects on this process.

Importing doped replaces ``warnings.formatwarning`` and adds warning filters. Inside
``undisturbed`` that may happen; afterwards both are as before, and what was warned of is in our
log, where it belongs.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Restore the state of ``warnings`` on leaving, and log the ``UserWarning`` raised inside."""
    formatwarning = warnings.formatwarning
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            yield
    finally:
        warnings.formatwarning = formatwarning
    for text in dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning):
        logger.warning("doped: %s", " ".join(text.split()))
