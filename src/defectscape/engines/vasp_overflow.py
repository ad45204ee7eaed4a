"""Numbers that did not fit into VASP's format, and so cost the one ionic step that they stand in."""

import re

_STARS = re.compile(rb"(?<=[\s>])[-+0-9.]*\*+[-+0-9.*]*(?=[\s<])")
"""Stars alone, or grown together with a neighbour."""
_VECTOR = re.compile(rb"(<v>)([^<]*)(</v>)")


def without_stars(content: bytes) -> bytes:
    """The file with NaN in place of stars."""
    return _STARS.sub(rb" NaN ", content)


def without_glued_numbers(content: bytes) -> bytes:
    """The file with NaN in place of vectors whose numbers ran into each other: ``-123.4-123.4``.

    Slow for a large file, and rarely needed.
    """
    return _VECTOR.sub(_readable, content)


def _readable(found: re.Match[bytes]) -> bytes:
    try:
        for word in found.group(2).split():
            float(word)
    except ValueError:
        return found.group(1) + b" NaN NaN NaN " + found.group(3)
    return found.group(0)
