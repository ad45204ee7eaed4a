"""A figure as SVG for the page: small, with ids of its own, and with values that appear on hover.

matplotlib writes a file that stands alone. Inside a page its ids would meet those of other figures, its
style rule would hold for the whole page, and half of its bytes are digits and styles said again for each
marker. All of that is set right here, on the parsed tree; what matplotlib draws is not changed.
"""

import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from defectscape.report.figures.style import CLOUD, CLOUD_OPACITY, CLOUD_POINTS, Plot, styled

NUMBER = re.compile(r"-?\d+\.\d+")
REFERENCE = re.compile(r"(?<=#)[\w.-]+")
FONT_FAMILY = re.compile(r"\s*font-family:[^;]*;?")
NO_ROTATION = re.compile(r"rotate\(-?0 .*\)")
FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML does not allow."""


@styled
def to_svg(plot: Plot, name: str, label: str) -> str:
    """The figure as an ``svg`` element without namespace prefixes, as HTML takes it.

    Args:
        plot: the figure.
        name: what its ids begin with; another for each figure of a page.
        label: what it shows, for readers who cannot see it.

    Raises:
        ValueError: if an artist has other than one title or one for each of its markers.
    """
    stream = io.StringIO()
    plot.figure.savefig(stream, format="svg", metadata={"Date": None})
    root = _without_namespaces(ElementTree.fromstring(FORBIDDEN.sub("", stream.getvalue())))
    for gid, titles in plot.titles.items():
        _put_titles(root, gid, titles)
    _tidy(root)
    _join_clouds(root)
    _join_markers(root)
    _own_ids(root, name)
    width, height = (root.attrib[key].removesuffix("pt") for key in ("width", "height"))
    root.attrib = {
        "id": name,
        "class": "plot",
        "role": "img",
        "aria-label": label,
        "viewBox": f"0 0 {width} {height}",
        "stroke-linejoin": "round",
        "style": f"--points: {width}",  # the page's style makes a size of it
    }
    return FORBIDDEN.sub("", ElementTree.tostring(root, encoding="unicode"))


def _without_namespaces(root: Element) -> Element:
    """Plain names of tags and attributes: HTML knows what is inside ``svg``."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    return root


def _put_titles(root: Element, gid: str, titles: Sequence[str]) -> None:
    """Give the group of an artist its title, or each of its markers its own."""
    group = next((element for element in root.iter("g") if element.get("id") == gid), None)
    if group is None:
        raise ValueError(f"nothing was drawn for {titles[0]!r}; name only artists that are drawn")
    targets = [group] if len(titles) == 1 else list(group.iter("use"))
    if len(targets) != len(titles):
        raise ValueError(
            f"{len(targets)} markers were drawn for {len(titles)} titles, the first {titles[0]!r}; "
            "name finite points inside the figure only"
        )
    for target, text in zip(targets, titles, strict=True):
        title = Element("title")
        title.text = text
        target.insert(0, title)


def _tidy(root: Element) -> None:
    """Take out what the page does not need: descriptions, the style rule, blanks, digits."""
    for element in list(root.iter()):
        for child in list(element):
            if child.tag == "metadata" or (child.tag == "defs" and child.find("style") is not None):
                element.remove(child)
        element.tail = None
        if element.tag not in ("text", "tspan", "title"):
            element.text = None
        if element.get("style"):
            element.set("style", FONT_FAMILY.sub("", element.attrib["style"]))
        if NO_ROTATION.fullmatch(element.get("transform", "")):
            del element.attrib["transform"]
        for key in {"d", "x", "y", "transform", "width", "height"} & set(element.attrib):
            value = " ".join(element.attrib[key].split())
            element.set(key, NUMBER.sub(_rounded, value))


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def _join_markers(root: Element) -> None:
    """Say once for all markers of a group how they look."""
    for group in list(root.iter("g")):
        uses = group.findall("use")
        styles = {use.get("style", "") for use in uses}
        if len(styles) == 1:
            group.set("style", styles.pop())
            for use in uses:
                use.attrib.pop("style", None)


def _join_clouds(root: Element) -> None:
    """Make one path of each cloud: lines of no length, whose round ends are the dots."""
    for cloud in root.iter("g"):
        if not cloud.get("id", "").startswith(CLOUD):
            continue
        for group in cloud.findall("g"):
            uses = group.findall("use")
            fill = re.search(r"fill: (#\w+)", uses[0].get("style", "")) if uses else None
            if fill is None:
                continue
            dots = "".join(f"M{use.get('x')} {use.get('y')}h0" for use in uses)
            for use in uses:
                group.remove(use)
            look = {
                "stroke": fill[1],
                "stroke-opacity": f"{CLOUD_OPACITY}",
                "stroke-width": f"{CLOUD_POINTS}",
            }
            group.append(Element("path", {"d": dots, "stroke-linecap": "round", **look}))


def _own_ids(root: Element, name: str) -> None:
    """Keep the ids that are referred to, and put the figure's name before them; drop the others."""
    used: dict[str, str] = {}
    for element in root.iter():
        for key in ("href", "clip-path"):
            for reference in REFERENCE.findall(element.get(key, "")):
                used.setdefault(reference, f"{name}-{len(used)}")
    for element in root.iter():
        if element.get("id") in used:
            element.set("id", used[element.attrib["id"]])
        else:
            element.attrib.pop("id", None)
        for key in ("href", "clip-path"):
            if key in element.attrib:
                element.set(key, REFERENCE.sub(lambda found: used[found[0]], element.attrib[key]))
