"""The installed package without what is installed beside it, which is of another Python: see workflow/bin.

The package's modules are found in its own folder; only the folder that holds it is not searched.
"""

from pathlib import Path

__file__ = str(Path(__file__).resolve().parents[4] / "__init__.py")
__path__ = [str(Path(__file__).parent)]
exec(compile(Path(__file__).read_text(encoding="utf-8"), __file__, "exec"))
