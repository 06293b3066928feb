"""Reads a policy and its models from files, and compiles them for the core."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.zones import ZoneDatabase
from schemas.errors import ConfigError
from schemas.model_file import ModelFile
from schemas.parts import right_items
from schemas.policy import Policy, Rules
from schemas.yaml_file import FileError, parse_yaml
from streams.change_form import forms_of
from streams.days import not_a_zone
from streams.plan import Program, compile_program
from streams.wording import CATALOGUES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable

    from schemas.words import Language

SHIPPED: Final = files("schemas")
SUFFIX: Final = ".yaml"


def shipped(folder: str) -> dict[str, Traversable]:
    """Return the shipped files of ``models`` or ``policies`` by name."""
    return _by_name(SHIPPED.joinpath(folder).iterdir())


def known_models(models_dir: Path | None) -> dict[str, Traversable]:
    """Return the model files by name: the shipped ones, then those of ``models_dir``.

    Raises:
        ConfigError: a file of ``models_dir`` has the name of a shipped one, or the folder cannot be read.
    """
    ours = shipped("models")
    try:
        further = _by_name(models_dir.iterdir()) if models_dir else {}
    except OSError as error:
        raise ConfigError(
            f"the folder of models {str(models_dir)!r} cannot be read ({error.strerror}). Mend LATIDO_MODELS_DIR."
        ) from error
    for name in further.keys() & ours.keys():
        raise ConfigError(
            f"model {name!r} is shipped and also in {str(models_dir)!r}. "
            f"Rename the file and its `model:`, and say the new name in the policy."
        )
    return ours | further


def load_policy(policy: str) -> Policy:
    """Return a policy by the name of a shipped one, or by path.

    Raises:
        ConfigError: there is none, or it has mistakes.
    """
    known = shipped("policies")
    source = known.get(policy) or Path(policy)
    return parse_yaml(_read(source, "policy", known), Policy, name=f"policy {policy}")


def load_model(model: str | Path, models_dir: Path | None = None) -> ModelFile:
    """Return a model by the name of a shipped one or one of ``models_dir``, or by path.

    Raises:
        ConfigError: it cannot be read, or it has mistakes.
    """
    known = known_models(models_dir)
    source = known.get(str(model)) or Path(model)
    return parse_yaml(_read(source, "model", known), ModelFile, name=f"model {model}")


def load_program(policy: str, models_dir: Path | None = None) -> Program:
    """Return the program of a policy; its models stand beside its file, are shipped, or are in ``models_dir``.

    Raises:
        ConfigError: the policy or one of its models is missing or has mistakes.
    """
    rules, models = policy_with_models(policy, models_dir)
    return compile_program(rules, [model for model, _ in models], ZoneDatabase())


def load_program_of(model: str, policy: str, models_dir: Path | None = None) -> Program:
    """Return the program of one model alone under a policy, without its rules: it scores and never alerts.

    Raises:
        ConfigError: the policy or the model is missing or has mistakes.
    """
    found = load_model(model, models_dir)
    alone = load_policy(policy).model_copy(update={"models": [found.model], "shadow": [], "rules": Rules()})
    return compile_program(alone, [found], ZoneDatabase())


def speaking(program: Program, language: Language) -> Program:
    """Return a program that computes the same and says it in another language."""
    words, policy = CATALOGUES[language], program.policy.model_copy(update={"language": language})
    return program._replace(policy=policy, words=words, forms=forms_of(program.models, words))


def policy_with_models(
    policy: str, models_dir: Path | None = None
) -> tuple[Policy, list[tuple[ModelFile, Traversable]]]:
    """Return a policy and the models that it enables, in its order, each with its file.

    Raises:
        ConfigError: the policy or one of its models is missing or has mistakes, all of which are told.
    """
    mistakes = []
    try:
        rules = part = load_policy(policy)
    except FileError as error:
        mistakes.append(str(error))
        part = error.part
    beside = None if policy in shipped("policies") else Path(policy).parent
    known, found = known_models(models_dir), []
    for name in right_items(part, "models"):
        try:
            found.append(_find_model(name, beside, known))
        except ConfigError as error:
            mistakes.append(str(error))
    zones = ZoneDatabase()
    unknown = [zone for zone in right_items(part, "time_zone") if zones.table(zone) is None]
    mistakes += [str(not_a_zone(zone)) for zone in unknown]
    if mistakes:
        raise ConfigError("\n".join(dict.fromkeys(mistakes)))
    return rules, found


def is_policy(file: str, models_dir: Path | None = None) -> bool:
    """Tell whether a name or path means a policy and not a model: by its name, else by what it says.

    Raises:
        ConfigError: it cannot be read.
    """
    models, policies = known_models(models_dir), shipped("policies")
    if file in models or file in policies:
        return file not in models
    text = _read(Path(file), "file", [*models, *policies])
    return re.search(r"^policy\s*:", text, flags=re.MULTILINE) is not None


def _find_model(
    name: str, beside: Path | None, known: Mapping[str, Traversable]
) -> tuple[ModelFile, Traversable]:
    own = beside / f"{name}{SUFFIX}" if beside else None
    source = own if own is not None and own.is_file() else known.get(name)
    if source is None:
        places = f"{str(own)!r} or " if own else ""
        raise ConfigError(
            f"the policy enables model {name!r}, which does not exist. Put it at {places}into "
            f"LATIDO_MODELS_DIR, or enable one of: {', '.join(known)}."
        )
    model = parse_yaml(_read(source, "model", known), ModelFile, name=f"model {source}")
    if model.model != name:
        raise ConfigError(
            f"{source}: the file says `model: {model.model}`, the policy {name!r}. "
            "Name the file, its `model:` and the policy's entry alike."
        )
    return model, source


def _by_name(entries: Iterable[Traversable]) -> dict[str, Traversable]:
    found = {entry.name.removesuffix(SUFFIX): entry for entry in entries if entry.name.endswith(SUFFIX)}
    return dict(sorted(found.items()))


def _read(source: Traversable, what: str, known: Iterable[str]) -> str:
    try:
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(
            f"{what} {str(source)!r} cannot be read ({why}). Give a path, or one of: {', '.join(known)}."
        ) from error
