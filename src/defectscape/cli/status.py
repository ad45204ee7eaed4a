"""``defectscape status``."""
import typer
def status(context: typer.Context) -> None:
    """x"""
