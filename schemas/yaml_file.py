"""YAML text to a validated pydantic model, every mistake in one message, each with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_BYTES_MAX = 1 << 20
VALUES_MAX = 100_000
"""Values of a file, those that are repeated by reference counted each time: a few lines may mean millions."""
SHOWN_CHARACTERS = 80
Model = TypeVar("Model", bound=BaseModel)


def parse_yaml(text: str, model: type[Model], *, name: str) -> Model:
    """Parse and validate one file.

    Args:
        text: the file's text.
        model: the pydantic model of the file.
        name: how messages call the file.

    Raises:
        ConfigError: not YAML, larger than 1 MiB or ``VALUES_MAX``, or not valid; the message lists every mistake with its line.
    """
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(f"{name}: {len(text)} characters long; at most {FILE_BYTES_MAX} are read.")
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        if _count(tree) > VALUES_MAX:
            raise ConfigError(
                f"{name}: more than {VALUES_MAX} values, repeated ones (*name) included. Write fewer of them."
            )
        content = None if tree is None else loader.construct_document(tree)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{name}: not a YAML file: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = [_describe(mistake, tree) for mistake in error.errors(include_url=False)]
        raise ConfigError(f"{name}: {len(mistakes)} mistake(s)\n" + "\n".join(mistakes)) from None


class _Loader(yaml.SafeLoader):
    """Says where a value stands that looks like a date or a number and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Return what a node means.

        Raises:
            yaml.constructor.ConstructorError: it means nothing, or a number of more digits than can be shown.
        """
        try:
            found = super().construct_object(node, deep=deep)
            if isinstance(found, int):
                str(found)  # raises beyond some thousand digits
        except (ValueError, AttributeError, OverflowError) as error:
            shown, kind = _shown(node.value), node.tag.rsplit(":")[-1]
            problem = f"found {shown}, which is no {kind}; mend it, or quote it if it is text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error
        return found


def _count(tree: yaml.Node | None) -> int:
    """Return how many values a tree has, repeated ones each time, counted up to ``VALUES_MAX``."""
    count, left = 0, [tree]
    while left and count <= VALUES_MAX:
        node = left.pop()
        count += 1
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            left += [part for pair in node.value for part in pair]
    return count


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


def _describe(mistake: Any, tree: yaml.Node | None) -> str:
    path = ".".join(str(part) for part in mistake["loc"]) or "the file"
    line = _line(tree, mistake["loc"])
    reason = mistake["msg"].removeprefix("Value error, ")
    return f"  line {line}: {path}: {reason} (found {_shown(mistake['input'])})"


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
