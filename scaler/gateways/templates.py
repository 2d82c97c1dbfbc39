"""Render ``templates/`` from Python, with the very settings and filters that Ansible uses."""

from __future__ import annotations

from typing import Any

import jinja2

from scaler import assets
from scaler.model import versions


def environment() -> jinja2.Environment:
    """Return the Jinja environment of scaler's templates: an undefined name is an error, trailing newlines stay."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(assets.TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - unit files and YAML, no HTML
    )
    env.tests["version_with_flag"] = versions.has_flag
    env.tests["version_with_field"] = versions.has_field
    env.tests["version_needing_gate"] = versions.needs_gate
    return env


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - a template takes any value
    """Render ``templates/<template>``."""
    return environment().get_template(template).render(**values)
