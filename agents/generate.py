"""`python -m agents.generate`: writes the documents that are made from the contracts, the settings and the metrics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from agents import metrics, model_page, settings
from schemas import generate

ROOT: Final = Path(__file__).parents[1]


def documents() -> dict[str, str]:
    """Return the text of each generated file by its path from the root of the repository."""
    return {
        **generate.documents(),
        "docs/metrics.md": metrics.page(),
        "docs/models.md": model_page.page(),
        "docs/settings.md": settings.page(),
    }


def write(root: Path) -> list[str]:
    """Write the documents that are missing or not current below ``root``; return their paths."""
    written = []
    for path, text in documents().items():
        file = root / path
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            written.append(path)
    return written


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in write(ROOT))
