"""Reads a policy and its models from files, and compiles them for the core."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.zones import zone_table
from schemas.errors import ConfigError
from schemas.model_file import ModelFile
from schemas.policy import Policy
from schemas.yaml_file import parse_yaml
from streams.plan import Program, compile_program

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SHIPPED: Final = files("schemas")


def shipped(folder: str) -> dict[str, Traversable]:
    """Return the shipped files of ``models`` or ``policies`` by name."""
    found = sorted(SHIPPED.joinpath(folder).iterdir(), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".yaml"): entry for entry in found if entry.name.endswith(".yaml")}


def load_policy(policy: str) -> Policy:
    """Return a policy by the name of a shipped one, or by path.

    Raises:
        ConfigError: there is none, or it has mistakes.
    """
    known = shipped("policies")
    if policy in known:
        return parse_yaml(known[policy].read_text(encoding="utf-8"), Policy, name=f"policy {policy}")
    return parse_yaml(_read(Path(policy), "policy", list(known)), Policy, name=policy)


def load_model(path: Path) -> ModelFile:
    """Return the model of one file.

    Raises:
        ConfigError: it cannot be read, or it has mistakes.
    """
    return parse_yaml(_read(path, "model", list(shipped("models"))), ModelFile, name=str(path))


def load_program(policy: str) -> Program:
    """Return the program of a policy; its models stand beside the policy's file, or are shipped.

    Raises:
        ConfigError: the policy or one of its models is missing or has mistakes.
    """
    rules = load_policy(policy)
    folder = None if policy in shipped("policies") else Path(policy).parent
    return compile_program(
        rules, [_find_model(name, folder) for name in rules.models], zone_table(rules.time_zone)
    )


def _find_model(name: str, folder: Path | None) -> ModelFile:
    own = folder / f"{name}.yaml" if folder else None
    known = shipped("models")
    if own is not None and own.exists():
        model = load_model(own)
    elif name in known:
        model = parse_yaml(known[name].read_text(encoding="utf-8"), ModelFile, name=f"model {name}")
    else:
        beside = f" Put {own} beside the policy, or" if own else ""
        raise ConfigError(
            f"the policy enables model {name!r}, which does not exist.{beside} use one of: {', '.join(known)}."
        )
    if model.model != name:
        raise ConfigError(
            f"{own or name}: the file says `model: {model.model}`; it must be {name!r}, as in the policy."
        )
    return model


def _read(path: Path, what: str, known: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{what} {str(path)!r} cannot be read ({error}). Give a path, or one of: {', '.join(known)}."
        ) from error
