"""Sphinx: what makes these pages. Build them with: sphinx-build -W docs docs/_build."""

from scaler import __version__

project = "scaler"
version = release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "scaler"
myst_heading_anchors = 3
