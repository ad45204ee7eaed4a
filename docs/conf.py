"""The documentation site: `make docs` builds it, and every warning, a dead link among them, is an error.

Sphinx reads the repository's own files from its root, so that links between them hold on the site as they do in a
clone. Equations become MathML, which browsers draw by themselves: the pages need no network.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

import defectscape

project = "defectscape"
author = "The defectscape developers"
copyright = author
version = release = defectscape.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
source_suffix = {".md": "markdown"}
include_patterns = [
    "*.md",
    "docs/*.md",
    "config/README.md",
    "benchmarks/config/README.md",
    "data/*/README.md",
    "tests/data/*/README.md",
]

CONTENTS = {
    "Begin": ["docs/tutorials.md"],
    "Guides": ["docs/engines.md", "docs/cluster.md", "Every key of a study <config/README.md>"],
    "Explanations": ["docs/model.md", "docs/thermodynamics.md", "docs/reliability.md"],
    "Evidence": [
        "docs/benchmarks.md",
        "docs/benchmark_protocol.md",
        "Every key of a benchmark <benchmarks/config/README.md>",
        "data/sb2se3/README.md",
        "data/cdte_xtb/README.md",
    ],
    "Development": [
        "docs/api.md",
        "docs/architecture.md",
        "CONTRIBUTING.md",
        "CODE_OF_CONDUCT.md",
        "CHANGELOG.md",
        "VASP output of the tests <tests/data/vasp/README.md>",
        "Labels of the tests <tests/data/sb2se3/README.md>",
    ],
}
"""Pages of the site by heading, in the order of reading."""

STYLE = (
    # Subscripts are lowered by what a font for mathematics says; one of these is on nearly every machine.
    'math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "DejaVu Math TeX Gyre", math }'
    # Wide screens have room for tables of a dozen columns; on others such tables scroll.
    " @media (min-width: 112em) { .main .content { width: 58em } }"
)

# Headings that a link may name.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True
# Prices and shells: a dollar beside a digit or a space begins no equation.
myst_dmath_allow_digits = False
myst_dmath_allow_space = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"defectscape {release}"
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True}


def visit_math(translator: Any, node: nodes.math) -> None:
    """An equation within a line."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_math_block(translator: Any, node: nodes.math_block) -> None:
    """An equation on lines of its own."""
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """The README, which is the first page, carries the site's contents; on its own it has no use for them."""
    if page == root_doc:
        source[0] += "".join(
            "\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(pages) + "\n```\n"
            for caption, pages in CONTENTS.items()
        )


def add_style(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """The few rules that the theme has no option for."""
    context["metatags"] = context.get("metatags", "") + f"<style>{STYLE}</style>"


def begin_with_the_readme(app: Sphinx, failed: Exception | None) -> None:
    """The site's root leads to its first page."""
    if failed is None:
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("source-read", add_contents)
    app.connect("html-page-context", add_style)
    app.connect("build-finished", begin_with_the_readme)
