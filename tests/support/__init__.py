"""What tests share: small studies, faulty engines, stand-ins for programs, a summary made by hand."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository's folder."""
