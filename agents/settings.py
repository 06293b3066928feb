"""Settings of a process: where things are and how fast. They change nothing that comes out; the policy does."""

from __future__ import annotations

import os
import re
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import ConfigError
from schemas.topics import changelog_topic

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "LATIDO_"
TOPIC_NAME_MAX: Final = 249
"""Kafka's limit of a topic's name."""
PORT_MAX: Final = 65_535
REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")
SECRETS: Final = frozenset({"redis_url"})
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")


def _datadir() -> Path:
    try:
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "latido"
    except RuntimeError:
        raise ConfigError("this user has no home folder. Set LATIDO_DATADIR to a writable folder.") from None


class Settings(BaseSettings):
    """Every setting is an environment variable ``LATIDO_*``; an empty one counts as not set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    broker: str = Field(default="127.0.0.1:9092", description="bootstrap servers, host:port,...")
    application_id: str = Field(
        default="latido",
        pattern=r"^[a-zA-Z0-9._-]{1,100}$",
        description="names the group and the account table; letters, digits, dot, underscore, hyphen",
    )
    topic_prefix: str = Field(
        default="",
        pattern=r"^[a-zA-Z0-9._-]{0,100}$",
        description="put before every topic's name; letters, digits, dot, underscore, hyphen",
    )
    policy: str = Field(default="default", description="a shipped policy's name, or the path of a file")
    models_dir: Path | None = Field(default=None, description="a folder of further model files")
    datadir: Path = Field(
        default_factory=_datadir,
        description="a writable folder of this process alone",
        json_schema_extra={"default": "$XDG_DATA_HOME/latido, else ~/.local/share/latido"},
    )
    redis_url: SecretStr | None = Field(
        default=None, description="of the read model: redis://host:port/database"
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="address on which Prometheus metrics are served"
    )
    metrics_port: int = Field(default=9646, ge=0, le=PORT_MAX, description="their port; 0 serves none")
    max_events_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="process no faster than this; unset for no limit"
    )
    commit_interval_ms: int = Field(
        default=50, ge=10, le=10_000, description="time between transactions, 10 to 10000"
    )
    session_timeout_s: int = Field(
        default=10,
        ge=6,
        le=300,
        description="a worker of which the broker hears nothing for so long loses its partitions, 6 to 300",
    )
    group_instance_id: str = Field(
        default="",
        pattern=r"^[a-zA-Z0-9._-]{0,100}$",
        description="a name of this worker alone that its restarts keep: within the session they get the same partitions "
        "without a rebalance; empty for none",
    )
    compression: Literal["none", "zstd"] = Field(default="none", description="of what the worker writes")

    @field_validator("broker")
    @classmethod
    def _addresses(cls, broker: str) -> str:
        addresses = [address.strip() for address in broker.split(",")]
        for address in addresses:
            found = _ADDRESS.fullmatch(address)
            if not found or not 0 < int(found[1]) <= PORT_MAX:
                raise ValueError(f"{address!r} is not host:port with a port from 1 to {PORT_MAX}")
        return ",".join(addresses)

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(REDIS_SCHEMES):
            raise ValueError(f"the address must begin with one of {', '.join(REDIS_SCHEMES)}")
        return url

    @field_validator("models_dir")
    @classmethod
    def _folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError("there is no such folder")
        return folder

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        longest = self.changelog
        if len(longest) > TOPIC_NAME_MAX:
            raise ValueError(
                f"LATIDO_TOPIC_PREFIX and LATIDO_APPLICATION_ID are too long together: topic {longest!r} has "
                f"{len(longest)} characters, Kafka takes {TOPIC_NAME_MAX}; shorten one of them"
            )
        return self

    @property
    def changelog(self) -> str:
        """The name of the account table's topic."""
        return self.topic_prefix + changelog_topic(self.application_id).name

    @classmethod
    def load(cls) -> Self:
        """Return the settings of the environment.

        Raises:
            ConfigError: one or more are wrong; the message names each with its value and what is allowed.
        """
        try:
            return cls()
        except ValidationError as error:
            mistakes = [_told(mistake) for mistake in error.errors(include_url=False)]
            raise ConfigError(
                "\n".join(["wrong settings. Mend each, or unset it for its default:", *mistakes])
            ) from None

    def require_datadir(self) -> None:
        """Make the data folder.

        Raises:
            ConfigError: it cannot be made or written to.
        """
        try:
            self.datadir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.datadir):
                pass
        except OSError as error:
            raise ConfigError(
                f"the data folder {str(self.datadir)!r} cannot be written to ({error.strerror}). "
                "Set LATIDO_DATADIR to a folder that can."
            ) from error


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables ``LATIDO_*`` that are no settings, each with the setting that may be meant."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    strays = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    return {stray: next(iter(get_close_matches(stray, known, 1, 0.8)), None) for stray in strays}


def _told(mistake: Any) -> str:
    reason = mistake["msg"].removeprefix("Value error, ")
    if not mistake["loc"]:
        return f"  {reason}"
    name = str(mistake["loc"][0])
    value = "(not shown)" if name in SECRETS else repr(mistake["input"])
    return f"  {PREFIX}{name.upper()}={value}: {reason} ({Settings.model_fields[name].description})"


def page() -> str:
    """Return the settings as a page of the documentation."""
    lines = [
        "# Settings",
        "",
        "Environment variables, read at start; an empty one counts as not set. They say where things are and how fast,",
        "and change nothing that comes out: the policy does. `latido config` shows those in force and where each comes",
        "from. A wrong one is told with its value and what is allowed, all of them at once. This page is made from",
        "`agents/settings.py` by `python -m agents.generate`.",
        "",
        "| variable | allowed | default | what |",
        "|---|---|---|---|",
    ]
    for name, tree in Settings.model_json_schema()["properties"].items():
        default = "" if tree["default"] in (None, "") else f"`{tree['default']}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {_allowed(tree)} | {default} | {tree['description']} |")
    return "\n".join(lines) + "\n"


def _allowed(tree: Mapping[str, Any]) -> str:
    """Return in words what a property's JSON Schema allows."""
    tree = tree.get("anyOf", [tree])[0]
    match tree:
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"minimum": least, "maximum": most}:
            return f"{least} to {most}"
        case {"exclusiveMinimum": bound}:
            return f"a number above {bound}"
        case {"pattern": pattern}:
            return f"`{pattern}`"
        case _:
            return {"path": "a path", "password": "an address, never shown"}.get(
                tree.get("format", ""), "text"
            )
