"""Configuration of Sphinx: `make docs` builds these pages without a network."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "dicom-node"
author = "the developers of dicom-node"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True
myst_heading_anchors = 4
html_theme = "furo"
html_title = "dicom-node"
html_show_copyright = False
html_show_sourcelink = False
smartquotes = False  # options begin with two hyphens


def setup(app: Sphinx) -> None:
    """Show diagrams of Mermaid as their text: drawing them would need a script from elsewhere."""
    app.add_lexer("mermaid", TextLexer)
