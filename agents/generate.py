"""`python -m agents.generate`: writes the documents that are made from the contracts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from schemas.generate import documents

ROOT: Final = Path(__file__).parents[1]


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
