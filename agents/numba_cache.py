"""Where compiled code is kept: a writable folder named after everything that the code depends on."""

from __future__ import annotations

import os
import sys
import tempfile
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

VARIABLE: Final = "NUMBA_CACHE_DIR"
OPTIONS: Final = {"NUMBA_OPT": "2"}
"""More would lengthen the compilation and gain nothing."""


def use_cache() -> Path:
    """Point numba at the folder, before it is imported, and return it; a set ``NUMBA_CACHE_DIR`` is respected.

    Without a writable cache folder a temporary one is used, and a line says so: the core is then compiled at
    every start.
    """
    for name, value in OPTIONS.items():
        os.environ.setdefault(name, value)
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(_folder())
    return Path(os.environ[VARIABLE])


def _folder() -> Path:
    try:
        return _writable(_home() / "latido" / f"numba-{_digest()}")
    except (OSError, RuntimeError) as error:
        folder = Path(tempfile.mkdtemp(prefix="latido-numba-"))
        sys.stderr.write(
            f"latido: no cache folder ({error}), compiling into {folder} at every start. "
            "Set XDG_CACHE_HOME to a writable folder that stays.\n"
        )
        return folder


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _digest() -> str:
    sources = [
        entry
        for package in ("streams", "schemas")
        for entry in files(package).iterdir()
        if entry.name.endswith(".py")
    ]
    digest = blake2b(f"{version('numba')} {OPTIONS}".encode(), digest_size=8)
    for source in sorted(sources, key=str):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _writable(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder
