"""Libraries are quiet, but who listens hears what they warn of."""

import logging
import warnings

import pytest

from defectscape.files.quiet import listening, quiet


def warn(*texts: str, kind: type[Warning] = UserWarning) -> None:
    with quiet("library"):
        for text in texts:
            warnings.warn(text, kind, stacklevel=1)


def test_each_warning_is_heard_once_in_order() -> None:
    with listening() as heard:
        warn("the gap is\n  another one", "second")
        warn("second", "third")
    assert heard == ["library: the gap is another one", "library: second", "library: third"]


def test_what_is_for_developers_is_not_heard() -> None:
    with listening() as heard:
        warn("will go", kind=DeprecationWarning)
        warn("will change", kind=FutureWarning)
    assert heard == []


def test_nobody_hears_outside_and_the_log_keeps_it(caplog: pytest.LogCaptureFixture) -> None:
    with listening() as heard:
        pass
    with caplog.at_level(logging.WARNING):
        warn("late")
    assert heard == []
    assert "library: late" in caplog.text


def test_the_innermost_listener_hears_and_the_outer_goes_on() -> None:
    with listening() as outer:
        with listening() as inner:
            warn("inside")
        warn("outside")
    assert (inner, outer) == (["library: inside"], ["library: outside"])


def test_a_warning_before_an_error_is_heard() -> None:
    def broken() -> None:
        with quiet("library"):
            warnings.warn("first", UserWarning, stacklevel=1)
            raise ValueError("broken")

    with listening() as heard, pytest.raises(ValueError, match="broken"):
        broken()
    assert heard == ["library: first"]
