"""Models of files, and what is right in a file with mistakes: the rest of it is judged all the same."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from itertools import zip_longest
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

Place = tuple[str | int, ...]
"""The keys and numbers that lead to a part of a file."""
KEY: Final = "[key]"
"""Last in a place: the key itself is meant, not what it leads to."""


class MistakeAt(ValueError):
    """A mistake that is found in the whole of something, and stands at ``where`` in it."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


class WrongPart(Exception):
    """What a check rests on is wrong by itself and told as such; nothing follows from it."""


class Wrong:
    """Stands in the place of a part that is wrong: whoever asks anything of it meets ``WrongPart``."""

    def _meet(self, *_: object) -> NoReturn:
        raise WrongPart

    __hash__ = __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _meet
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _meet
    __getattr__ = __getitem__ = __iter__ = __len__ = __contains__ = __str__ = __format__ = _meet


class _WrongKey(Wrong):
    """Stands in a mapping in the place of a key that is wrong."""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


WRONG: Final = Wrong()


class Strict(BaseModel):
    """Base of everything read from a file: unknown keys are mistakes, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def checks(self) -> Iterable[Iterator[MistakeAt]]:
        """Return the checks of what its fields must be together; each ends where it meets a part that is wrong."""
        return ()

    def mistakes(self) -> Iterator[MistakeAt]:
        """Yield what is wrong with its fields together."""
        for check in self.checks():
            with suppress(WrongPart):
                yield from check

    @model_validator(mode="after")
    def _right_together(self) -> Self:
        for mistake in self.mistakes():
            raise mistake
        return self


def right_parts(kind: Any, content: Any, wrong: Collection[Place], where: Place = ()) -> Any:
    """Return what has been read as ``kind``, without validation, ``WRONG`` at the places where it is wrong.

    Args:
        kind: a type as fields are annotated with: models, lists, tuples, mappings, and what they are made of.
        content: what YAML made of the file.
        wrong: all places in the file at which something is wrong by itself.
        where: the place of ``content``.
    """
    kind = _bare(kind)
    if where in wrong:
        return WRONG
    if content is None or (_is_model(kind) and not isinstance(content, dict)):
        return None  # left out, or switched off by a word
    origin, inner = get_origin(kind), get_args(kind)
    if origin is list:
        return [right_parts(inner[0], part, wrong, (*where, i)) for i, part in enumerate(content)]
    if origin is tuple:
        parts = enumerate(zip_longest(inner, content))  # of an item that is missing its place is wrong
        return tuple(right_parts(each, part, wrong, (*where, i)) for i, (each, part) in parts)
    if origin is dict:
        found = {key: right_parts(inner[1], part, wrong, (*where, str(key))) for key, part in content.items()}
        return {key if _is_right(key, wrong, where) else _WrongKey(): part for key, part in found.items()}
    is_model = _is_model(kind)
    return _right_fields(kind, content, wrong, where) if is_model else _adapter(kind).validate_python(content)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_right(key: object, wrong: Collection[Place], where: Place) -> bool:
    return isinstance(key, str) and (*where, key, KEY) not in wrong


def right_items(part: Any, name: str) -> list[Any]:
    """Return what is right of the list, or of the one value, that a part has under a name."""
    found = part if isinstance(part, Wrong) else getattr(part, name)
    return [item for item in (found if isinstance(found, list) else [found]) if not isinstance(item, Wrong)]


def _right_fields(model: type[BaseModel], content: Any, wrong: Collection[Place], where: Place) -> BaseModel:
    fields = {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in content or (*where, key) in wrong:
            fields[name] = right_parts(field.annotation, content.get(key), wrong, (*where, key))
        else:
            fields[name] = field.get_default(call_default_factory=True)
    part = model.model_construct()
    part.__dict__.update(fields)
    return part


def _bare(kind: Any) -> Any:
    """Return a type without what narrows it, and without ``None`` beside it."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _bare(get_args(kind)[0])
    if origin in (Union, UnionType):
        return _bare(next(part for part in get_args(kind) if part is not NoneType))
    return kind


def mistakes_together(part: Any, where: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the mistakes of all models within a part, each with its place."""
    if isinstance(part, Strict):
        for mistake in part.mistakes():
            yield (*where, *mistake.where), str(mistake)
    for step, inner in _inner(part):
        yield from mistakes_together(inner, (*where, step))


def _inner(part: Any) -> Iterable[tuple[str | int, Any]]:
    """Return what a part is made of, each with its key or number in the file."""
    if isinstance(part, Strict):
        fields = type(part).model_fields
        return [(field.alias or name, getattr(part, name)) for name, field in fields.items()]
    if isinstance(part, dict):
        return [(key, inner) for key, inner in part.items() if isinstance(key, str)]
    return enumerate(part) if isinstance(part, list) else ()
