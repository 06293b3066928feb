"""YAML text to a validated pydantic model, every mistake in one message, each with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_BYTES_MAX = 1 << 20
SHOWN_CHARACTERS = 80
Model = TypeVar("Model", bound=BaseModel)


def parse_yaml(text: str, model: type[Model], *, name: str) -> Model:
    """Parse and validate one file.

    Args:
        text: the file's text.
        model: the pydantic model of the file.
        name: how messages call the file.

    Raises:
        ConfigError: not YAML, larger than 1 MiB, or not valid; the message lists every mistake with its line.
    """
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(f"{name}: {len(text)} characters long; at most {FILE_BYTES_MAX} are read.")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{name}: not a YAML file: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = [_describe(mistake, tree) for mistake in error.errors(include_url=False)]
        raise ConfigError(f"{name}: {len(mistakes)} mistake(s)\n" + "\n".join(mistakes)) from None


def _describe(mistake: Any, tree: yaml.Node | None) -> str:
    path = ".".join(str(part) for part in mistake["loc"]) or "the file"
    line = _line(tree, mistake["loc"])
    value = repr(mistake["input"])
    shown = value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "..."
    reason = mistake["msg"].removeprefix("Value error, ")
    return f"  line {line}: {path}: {reason} (found {shown})"


def _line(tree: yaml.Node | None, loc: Sequence[int | str]) -> int:
    node = tree
    for part in loc:
        inner = _child(node, part)
        if inner is None:
            break
        node = inner
    return 1 if node is None else int(node.start_mark.line) + 1


def _child(node: yaml.Node | None, part: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]  # type: ignore[no-any-return]
    return None
