"""Every document that is made from the contracts, as text: JSON Schemas, AsyncAPI, the catalogue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
import yaml

from schemas import asyncapi, reference
from schemas.control import CONTROL_TYPES
from schemas.events import EVENT_TYPES
from schemas.json_schema import Tree, file_schema, kebab, struct_schema
from schemas.model_file import ModelFile
from schemas.outputs import WRITTEN_TYPES
from schemas.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from msgspec import Struct

YAML_WIDTH: Final = 110


def documents() -> dict[str, str]:
    """Return the text of each generated file by its path from the root of the repository."""
    schemas = {f"schemas/json/{name}.json": _json(tree) for name, tree in json_schemas().items()}
    return {
        **schemas,
        "docs/asyncapi.yaml": _yaml(asyncapi.document()),
        "docs/catalogue.md": reference.page(),
    }


def json_schemas() -> dict[str, Tree]:
    """Return the JSON Schema (draft 2020-12) of each message and file, by name."""
    return {
        **_of_structs(EVENT_TYPES.values(), written=False),
        **_of_structs(WRITTEN_TYPES, written=True),
        **_of_structs(CONTROL_TYPES, written=False),
        "model": file_schema("model", ModelFile),
        "policy": file_schema("policy", Policy),
    }


def _of_structs(structs: Iterable[type[Struct]], *, written: bool) -> dict[str, Tree]:
    return {kebab(struct.__name__): struct_schema(struct, written=written) for struct in structs}


def _json(tree: Tree) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


class _Plain(yaml.SafeDumper):
    """Writes every value where it is used: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Return that nothing is an alias."""
        return True


def _yaml(tree: Tree) -> str:
    head = "# Made from schemas/ by `python -m agents.generate`.\n"
    plain = msgspec.to_builtins(tree)  # enumerations as their text
    return head + yaml.dump(plain, Dumper=_Plain, sort_keys=False, width=YAML_WIDTH, allow_unicode=True)
