"""Configuration of Sphinx: `make docs` builds these pages without a network."""

import hashlib

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

project = "dicom-node"
author = "the developers of dicom-node"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "dicom-node"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_copyright = False
html_show_sourcelink = False
smartquotes = False  # options begin with two hyphens


class Diagram(Directive):
    """Show a diagram of Mermaid as it was drawn: its file is named by the digest of its text."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Refer to the picture; if it is missing, Sphinx warns."""
        digest = hashlib.sha256("\n".join(self.content).encode()).hexdigest()[:12]
        away = "../" * self.state.document.settings.env.docname.count("/")
        return [nodes.image(uri=f"{away}images/diagram-{digest}.svg", alt="diagram")]


def setup(app: Sphinx) -> None:
    """Take the place of a browser's script: pages need nothing from elsewhere."""
    app.add_directive("mermaid", Diagram)
