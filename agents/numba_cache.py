"""Where compiled code is kept: a writable folder named after everything that the code depends on."""

from __future__ import annotations

import os
import tempfile
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path


def use_cache() -> Path:
    """Point numba at the folder, before it is imported, and return it; a set ``NUMBA_CACHE_DIR`` is respected."""
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = str(_writable(_home() / "latido" / f"numba-{_digest()}"))
    return Path(os.environ["NUMBA_CACHE_DIR"])


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _digest() -> str:
    sources = [
        entry
        for package in ("streams", "schemas")
        for entry in files(package).iterdir()
        if entry.name.endswith(".py")
    ]
    digest = blake2b(version("numba").encode(), digest_size=8)
    for source in sorted(sources, key=str):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="latido-numba-"))
