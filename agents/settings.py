"""Settings of a process: where things are and how fast. They change nothing that comes out; the policy does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import ConfigError

_ADDRESS = re.compile(r"^[A-Za-z0-9_.\-\[\]:]*[A-Za-z0-9\]]:\d{1,5}$")


class Settings(BaseSettings):
    """Every setting is an environment variable ``LATIDO_*``."""

    model_config = SettingsConfigDict(env_prefix="LATIDO_", extra="ignore", frozen=True)

    broker: str = Field(default="127.0.0.1:9092", description="bootstrap servers, host:port,...")
    application_id: str = Field(
        default="latido",
        pattern=r"^[a-zA-Z0-9._-]{1,100}$",
        description="names the group and the account table",
    )
    topic_prefix: str = Field(
        default="", pattern=r"^[a-zA-Z0-9._-]{0,100}$", description="put before every topic's name"
    )
    policy: str = Field(default="default", description="a shipped policy's name, or the path of a file")
    datadir: Path = Field(
        default=Path.home() / ".local/share/latido", description="a writable folder of this process alone"
    )
    redis_url: SecretStr | None = Field(default=None, description="read model; not used by the worker")
    metrics_host: str = Field(
        default="127.0.0.1", description="address on which Prometheus metrics are served"
    )
    metrics_port: int = Field(default=9646, ge=0, le=65535, description="their port; 0 serves none")
    max_events_per_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="process no faster than this"
    )
    commit_interval_ms: int = Field(default=100, ge=10, le=10_000, description="time between transactions")
    compression: Literal["none", "zstd"] = Field(default="none", description="of what the worker writes")

    @field_validator("broker")
    @classmethod
    def _addresses(cls, broker: str) -> str:
        for address in broker.split(","):
            if not _ADDRESS.match(address.strip()):
                raise ValueError(f"{address!r} is not host:port")
        return broker

    @classmethod
    def load(cls) -> Self:
        """Return the settings of the environment.

        Raises:
            ConfigError: one or more are wrong; the message names each with its value.
        """
        try:
            return cls()
        except ValidationError as error:
            mistakes = [
                f"  LATIDO_{str(m['loc'][0]).upper()}={m['input']!r}: {m['msg'].removeprefix('Value error, ')}"
                for m in error.errors(include_url=False)
            ]
            raise ConfigError("wrong settings; mend them and start again\n" + "\n".join(mistakes)) from None
