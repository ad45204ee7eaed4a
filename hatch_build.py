"""Puts what users run besides the library into the wheel: the workflow and the studies to begin with.

An editable installation has none of it, since the clone's own files are what it runs:
``defectscape.files.assets`` finds either.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = (
    "Snakefile",
    "workflow",
    "envs",
    "profiles",
    "config/README.md",
    "config/schema.json",
    "config/config.yaml",
    "config/examples/si_dft.yaml",
    "config/hosts",
    "config/elements",
)
"""Files and folders of the repository; they keep their places below ``defectscape/assets``."""


class AssetsHook(BuildHookInterface):
    """Adds the assets to a wheel that is no editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build_data["force_include"] |= {name: f"defectscape/assets/{name}" for name in ASSETS}
