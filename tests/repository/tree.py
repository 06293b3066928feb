"""The repository as its own tests see it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PARTS: Final = ("schemas", "streams", "agents")
NOT_OURS: Final = frozenset({"__pycache__", "build", "dist"})
TEXTS: Final = frozenset(
    {".py", ".md", ".toml", ".txt", ".in", ".yaml", ".yml", ".json", ".xml", ".cfg", ".sh", ""}
)


def modules() -> list[Path]:
    """Return the modules of the three parts, as paths from the root."""
    return sorted(path.relative_to(ROOT) for part in PARTS for path in (ROOT / part).rglob("*.py"))


def texts() -> list[Path]:
    """Return the files that people wrote or that were made for them, as paths from the root.

    Folders whose name begins with a dot belong to tools, except that of the continuous check.
    """
    top = [path for path in ROOT.iterdir() if _is_ours(path)]
    files = [path for path in top if path.is_file()]
    for folder in (path for path in top if path.is_dir()):
        files += [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path.relative_to(ROOT)
        for path in files
        if path.suffix in TEXTS and not NOT_OURS & set(path.relative_to(ROOT).parts)
    )


def _is_ours(path: Path) -> bool:
    return path.is_file() or path.name == ".ci" or not path.name.startswith(".")
