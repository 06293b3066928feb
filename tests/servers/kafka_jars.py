"""The jars of Apache Kafka 4.1: found in a cache folder, or brought there once by Maven.

``python -m tests.servers.kafka_jars`` fetches them and prints the folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.servers.missing import ServerMissing

KAFKA_VERSION: Final = "4.1.0"
POM: Final = Path(__file__).with_name("kafka-pom.xml")
GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
FETCH_TIMEOUT_S: Final = 600
INSTALL: Final = "install a Java 17 runtime and Maven (Debian: apt-get install openjdk-17-jre-headless maven)"


def jar_folder() -> Path:
    """Return the folder of the jars: ``LATIDO_KAFKA_LIBS``, else one under the user's cache folder."""
    named = os.environ.get("LATIDO_KAFKA_LIBS")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "latido" / f"kafka-{KAFKA_VERSION}"


def present(folder: Path) -> bool:
    """Tell whether the folder holds the broker."""
    return (folder / f"kafka_2.13-{KAFKA_VERSION}.jar").is_file()


def java() -> str:
    """Return the Java command.

    Raises:
        ServerMissing: no Java runtime is on the path.
    """
    found = shutil.which("java")
    if found is None:
        raise ServerMissing("Apache Kafka", "no `java` on the path", INSTALL)
    return found


def ensure_jars() -> Path:
    """Return the folder of the jars, fetching them if they are not there yet (124 MB, once).

    Raises:
        ServerMissing: Java or Maven is not installed, or Maven could not fetch the jars.
    """
    java()
    folder = jar_folder()
    if not present(folder):
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    """Bring the jars beside the folder, then rename: a fetch that was cut off leaves nothing half full."""
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerMissing("Apache Kafka", f"no `mvn` on the path and no jars in {folder}", INSTALL)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kafka-jars-", dir=folder.parent) as scratch:
        jars = Path(scratch) / "jars"
        command = [maven, "-q", "-B", "-f", str(POM), GOAL, f"-DoutputDirectory={jars}"]
        _run_maven(command)
        if not present(folder):  # another run may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            jars.rename(folder)


def _run_maven(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        why = f"Maven did not finish in {FETCH_TIMEOUT_S} s"
        raise ServerMissing("Apache Kafka", why, "check the network and run again") from error
    except subprocess.CalledProcessError as error:
        said = (error.stdout + error.stderr).strip()[-2000:]
        why = f"Maven ended with {error.returncode}:\n{said}\n"
        raise ServerMissing(
            "Apache Kafka", why, "run the Maven command by hand: " + " ".join(command)
        ) from error


if __name__ == "__main__":
    print(ensure_jars())
