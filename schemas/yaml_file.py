"""YAML text to a validated pydantic model, every mistake in one message, each with its line."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import ConfigError
from schemas.parts import KEY, WRONG, MistakeAt, Place, mistakes_together, right_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILE_BYTES_MAX = 1 << 20
VALUES_MAX = 100_000
"""Values of a file, those that are repeated by reference counted each time: a few lines may mean millions."""
SHOWN_CHARACTERS = 80
MISTAKES_TOLD = 100
Mark = tuple[int, int]
"""A line and a column of a text, from 1."""
Model = TypeVar("Model", bound=BaseModel)


class FileError(ConfigError):
    """A file has mistakes; ``part`` is what is right of it, with ``WRONG`` in the place of what is not."""

    def __init__(self, message: str, part: Any = WRONG) -> None:
        super().__init__(message)
        self.part = part


class _Mistake(NamedTuple):
    """A mistake: the keys and numbers that lead to it, what is wrong, what was found there."""

    place: Place
    reason: str
    found: Any


def parse_yaml(text: str, model: type[Model], *, name: str) -> Model:
    """Parse and validate one file.

    Args:
        text: the file's text.
        model: the pydantic model of the file.
        name: how messages call the file.

    Raises:
        FileError: not YAML, larger than 1 MiB or ``VALUES_MAX``, a value within itself, or not valid; the message lists
            every mistake with its line: those of single values, and those of what is right together.
    """
    if len(text) > FILE_BYTES_MAX:
        raise FileError(f"{name}: {len(text)} characters long; at most {FILE_BYTES_MAX} are read.")
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        _require_bounded(tree, name)
        content = None if tree is None else loader.construct_document(tree)
    except (yaml.YAMLError, RecursionError) as error:
        raise FileError(f"{name}: not a YAML file: {error}") from error
    part: Any = WRONG
    mistakes: list[_Mistake] = []
    try:
        part = model.model_validate(content)
    except ValidationError as error:
        part, mistakes = _mistakes(error, content, model)
    if mistakes or loader.mistakes:
        raise FileError(_message(name, tree, mistakes, loader.mistakes), part)
    return part  # type: ignore[no-any-return]


def _message(
    name: str, tree: yaml.Node | None, mistakes: Sequence[_Mistake], unreadable: dict[Mark, str]
) -> str:
    """Return all mistakes by their lines; what is repeated by reference is told once."""
    lines = {(mark, reason): f"line {mark[0]}: {reason}" for mark, reason in unreadable.items()}
    for mistake in mistakes:
        mark, path = _mark(tree, mistake.place), ".".join(map(str, mistake.place)) or "the file"
        line = f"line {mark[0]}: {path}: {mistake.reason} (found {_shown(mistake.found)})"
        lines.setdefault((mark, mistake.reason), line)
    told = [lines[key] for key in sorted(lines)]
    more = [f"and {len(told) - MISTAKES_TOLD} more"] if len(told) > MISTAKES_TOLD else []
    return f"{name}: {len(told)} mistake(s)\n" + "\n".join(
        f"  {line}" for line in told[:MISTAKES_TOLD] + more
    )


def _mistakes(error: ValidationError, content: Any, model: type[BaseModel]) -> tuple[Any, list[_Mistake]]:
    """Return what is right of a file that is not valid, and all its mistakes."""
    single = [each for each in error.errors(include_url=False) if not isinstance(_cause(each), MistakeAt)]
    meant = {
        place
        for each in single
        if each["type"] == "extra_forbidden" and (place := _meant(each, content, model))
    }
    wrong = {each["loc"] for each in single} | meant
    part = right_parts(model, content, wrong)
    found = [
        _Mistake(tuple(step for step in each["loc"] if step != KEY), _reason(each, model), each["input"])
        for each in single
        if each["input"] is not _UNREADABLE and not (each["type"] == "missing" and each["loc"] in meant)
    ]
    found += [_Mistake(place, reason, _at(content, place)) for place, reason in mistakes_together(part)]
    return part, found


def _cause(mistake: Any) -> object:
    return mistake.get("ctx", {}).get("error")


def _reason(mistake: Any, model: type[BaseModel]) -> str:
    if mistake["type"] == "extra_forbidden":
        return f"unknown key; known: {', '.join(_keys(model, mistake['loc']))}"
    return str(mistake["msg"]).removeprefix("Value error, ")


def _meant(mistake: Any, content: Any, model: type[BaseModel]) -> Place | None:
    """Return the place that an unknown key is likely meant for: that of a key which is like it and does not stand there."""
    *within, key = mistake["loc"]
    there = _at(content, within)
    absent = [known for known in _keys(model, mistake["loc"]) if known not in there]
    like = get_close_matches(str(key), absent, n=1)
    return (*within, like[0]) if like else None


def _at(content: Any, place: Iterable[str | int]) -> Any:
    """Return what stands at a place; of keys that are no text pydantic tells how they read."""
    for step in place:
        named = dict(enumerate(content)) if isinstance(content, list) else content
        content = {str(key): value for key, value in named.items()}[str(step)]
    return content


class _Unreadable:
    """What YAML could make nothing of; it has been told."""

    def __repr__(self) -> str:
        return "?"


_UNREADABLE: Final = _Unreadable()


class _Loader(yaml.SafeLoader):
    """Says where a value stands that looks like a date or a number and is none; ``yes`` and ``no`` are text, as in YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            (tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool" or first in "tTfF"
        ]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.mistakes: dict[Mark, str] = {}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Return what a node means; it is noted if that is nothing, or a number of more digits than can be shown."""
        try:
            found = super().construct_object(node, deep=deep)
            if isinstance(found, int):
                str(found)  # raises beyond some thousand digits
        except (ValueError, AttributeError, OverflowError):
            kind = node.tag.rsplit(":")[-1]
            self.mistakes[_mark_of(node)] = (
                f"found {_shown(node.value)}, which is no {kind}; mend it, or quote it if it is text"
            )
            return _UNREADABLE
        return found

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Return a mapping; it is noted if a key stands in it twice."""
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                self.mistakes[_mark_of(key)] = (
                    f"the key {_shown(key.value)} stands here a second time; keep one of the two"
                )
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
            raise FileError(
                f"{name}: more than {VALUES_MAX} values, repeated ones (*name) included. Write fewer of them."
            )
        if not isinstance(node, yaml.CollectionNode):
            continue
        if id(node) in within:
            line = node.start_mark.line + 1
            raise FileError(f"{name}: line {line}: a value that contains itself (*name). Write it out.")
        within.add(id(node))
        pairs = isinstance(node, yaml.MappingNode)
        left += [id(node), *((part for pair in node.value for part in pair) if pairs else node.value)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


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


def _mark_of(node: yaml.Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _mark(tree: yaml.Node | None, place: Place) -> Mark:
    """Return where a place is in the text: the value or, of what begins in a line below it, its key."""
    node, mark = tree, (1, 1) if tree is None else _mark_of(tree)
    for step in place:
        key, node = _child(node, step)
        if node is None:
            break
        mark = _mark_of(node)
        if key is not None and key.start_mark.line < node.start_mark.line:
            mark = _mark_of(key)
    return mark


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Return the key, if there is one, and the value of what stands at a key or number; of a repeated key the last."""
    if isinstance(node, yaml.MappingNode):
        pairs = (pair for pair in reversed(node.value) if pair[0].value == str(step))
        return next(pairs, (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None, None
