"""YAML text to a validated pydantic model, every mistake in one message, each with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

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
        ConfigError: not YAML, larger than 1 MiB or ``VALUES_MAX``, a value within itself, or not valid; the message lists
            every mistake with its line.
    """
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(f"{name}: {len(text)} characters long; at most {FILE_BYTES_MAX} are read.")
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        _require_bounded(tree, name)
        content = None if tree is None else loader.construct_document(tree)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{name}: not a YAML file: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = [_describe(mistake, tree, model) for mistake in error.errors(include_url=False)]
        raise ConfigError(f"{name}: {len(mistakes)} mistake(s)\n" + "\n".join(mistakes)) from None


class MistakeAt(ValueError):
    """A mistake that is found in the whole of something, and stands at ``where`` in it."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


class _Loader(yaml.SafeLoader):
    """Says where a value stands that looks like a date or a number and is none; ``yes`` and ``no`` are text, as in YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            (tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool" or first in "tTfF"
        ]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

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

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Return a mapping.

        Raises:
            yaml.constructor.ConstructorError: a key stands in it twice.
        """
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"the key {_shown(key.value)} stands here a second time; keep one of the two"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _require_bounded(tree: yaml.Node | None, name: str) -> None:
    """Count the values of a tree, repeated ones each time, without making them."""
    count, within = 0, set[int]()
    left: list[yaml.Node | int | None] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, int):  # all that is within this one has been counted
            within.remove(node)
            continue
        count += 1
        if count > VALUES_MAX:
            raise ConfigError(
                f"{name}: more than {VALUES_MAX} values, repeated ones (*name) included. Write fewer of them."
            )
        if not isinstance(node, yaml.CollectionNode):
            continue
        if id(node) in within:
            line = node.start_mark.line + 1
            raise ConfigError(f"{name}: line {line}: a value that contains itself (*name). Write it out.")
        within.add(id(node))
        pairs = isinstance(node, yaml.MappingNode)
        left += [id(node), *((part for pair in node.value for part in pair) if pairs else node.value)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


def _describe(mistake: Any, tree: yaml.Node | None, model: type[BaseModel]) -> str:
    where = getattr(mistake.get("ctx", {}).get("error"), "where", ())
    loc, found = (*mistake["loc"], *where), mistake["input"]
    for part in where:
        found = found[part]
    path = ".".join(str(part) for part in loc) or "the file"
    reason = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "extra_forbidden":
        reason = f"unknown key; known: {', '.join(_keys(model, loc))}"
    return f"  line {_line(tree, loc)}: {path}: {reason} (found {_shown(found)})"


def _keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Return the keys that are known where the last of ``loc`` stands."""
    for part in loc[:-1]:
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        model = _model_in(fields.get(str(part))) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field is, or is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


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
