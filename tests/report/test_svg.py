"""A figure as SVG: each value on the marker that it belongs to, and nothing that harms the page."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from defectscape.report.figures.style import Plot, marker, plot, styled
from defectscape.report.figures.svg import to_svg

X = [0.5, 3.0, 1.0, 2.5]


@styled
def small(x=X, titles=None, name="drawn") -> Plot:
    """Four markers, not in the order of x, joined by a line."""
    drawn = plot(3.0, 2.5, name)
    (line,) = drawn.axes.plot(x, [2 * value for value in x], marker(0), ls="-", label=name)
    drawn.hover(line, [f"x = {value}" for value in x] if titles is None else titles)
    drawn.finish()
    return drawn


def titled(svg):
    """Elements that have a title, with its text."""
    return [
        (element, title.text) for element in ElementTree.fromstring(svg).iter() for title in element.findall("title")
    ]


def test_each_marker_has_its_own_value():
    found = titled(to_svg(small(), "one", ""))
    values = [float(text.removeprefix("x = ")) for _, text in found]
    places = [float(element.get("x")) for element, _ in found]
    assert [element.tag for element, _ in found] == ["use"] * len(X)
    assert values == X
    # the axis is linear, so the place of a marker must be linear in the value of its title
    slope, start = np.polyfit(values, places, 1)
    assert slope > 10
    assert places == pytest.approx([start + slope * value for value in values], abs=0.02)


def test_a_thin_line_is_named_by_a_wide_invisible_one():
    drawn = small()
    drawn.hover_line([0.5, 3.0], [1.0, 1.0], "a level")
    group = next(element for element, text in titled(to_svg(drawn, "one", "")) if text == "a level")
    style = group.find("path").get("style")
    assert "stroke-opacity: 0;" in style
    assert "stroke-width: 9" in style


def test_a_cloud_is_one_path_with_a_dot_for_each_point():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 500))
    drawn = small()
    drawn.cloud(x, y, 1, "forces", "500 forces")
    group = next(element for element, text in titled(to_svg(drawn, "one", "")) if text == "500 forces")
    (path,) = group.findall("g/path")
    dots = np.array([dot.split() for dot in re.findall(r"M(\S+ \S+)h0", path.get("d"))], dtype=float)
    assert len(dots) == 500
    assert np.corrcoef(dots[:, 0], x)[0, 1] == pytest.approx(1)
    assert np.corrcoef(dots[:, 1], y)[0, 1] == pytest.approx(-1)
    assert path.get("stroke-linecap") == "round"


def test_a_cloud_without_points_is_no_fault():
    drawn = small()
    drawn.cloud([], [], 1, "forces", "no forces")
    assert "h0" not in to_svg(drawn, "one", "")


def test_titles_that_do_not_fit_the_markers_are_refused():
    with pytest.raises(ValueError, match="3 markers were drawn for 4 titles"):
        to_svg(small([0.5, math.nan, 1.0, 2.5]), "one", "")
    with pytest.raises(ValueError, match="4 markers were drawn for 2 titles"):
        to_svg(small(titles=["a", "b"]), "one", "")
    drawn = small()
    drawn.axes.lines[0].set_visible(False)
    with pytest.raises(ValueError, match=r"nothing was drawn for 'x = 0.5'"):
        to_svg(drawn, "one", "")


def test_two_figures_share_no_id_and_refer_to_their_own():
    ids, references = [], []
    for name in ("one", "two"):
        svg = to_svg(small(), name, "")
        ids += re.findall(r'\bid="([^"]+)"', svg)
        references += re.findall(r'(?:href="|url\()#([^")]+)', svg)
        assert all(reference.startswith(f"{name}-") for reference in references if name in reference)
    assert len(ids) == len(set(ids)) > 4
    assert set(references) <= set(ids)


def test_text_stays_text_whatever_it_is():
    name = "<b>$\\frac{1}$</b> & √Å − ü \x01"
    svg = to_svg(small(titles=[name] * 4, name=name), "one", name)
    shown = [element.text for element in ElementTree.fromstring(svg.replace("\x01", "")).iter("text")]
    expected = name.replace("\x01", "")
    assert shown.count(expected) == 2  # title and legend
    assert {text for _, text in titled(svg)} == {expected}
    assert "<b>" not in svg


def test_nothing_reaches_into_the_page():
    svg = to_svg(small(), "one", "label")
    for part in ("<style", "<metadata", "<!DOCTYPE", "<?xml", "font-family", "xmlns", "http"):
        assert part not in svg
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "label"
    assert "width" not in root.attrib  # the page's style scales it
    assert root.get("viewBox").startswith("0 0 216 ")


def test_the_same_figure_gives_the_same_text():
    assert to_svg(small(), "one", "") == to_svg(small(), "one", "")
