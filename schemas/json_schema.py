"""JSON Schemas of the contracts, as trees: draft 2020-12, and the draft 7 dialect of AsyncAPI."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msgspec import Struct
    from pydantic import BaseModel

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Tree = dict[str, Any]


def kebab(name: str) -> str:
    """Return a class name as file and schema names have it: ``PageVisit`` is ``page-visit``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def struct_schema(struct: type[Struct], *, written: bool) -> Tree:
    """Return the schema of one message.

    Args:
        struct: the message.
        written: whether latido writes it: then every field is there. Else fields with a default may be left out.
    """
    tree = _tidy(msgspec.json.schema(struct))
    for definition in tree["$defs"].values() if written else ():
        _require_all(definition)
    root = tree["$defs"].pop(struct.__name__)
    return _headed(kebab(struct.__name__), root, tree["$defs"])


def file_schema(name: str, model: type[BaseModel]) -> Tree:
    """Return the schema of a file that people write (as YAML)."""
    tree = _tidy(model.model_json_schema())
    return _headed(name, tree, tree.pop("$defs", {}))


def components(structs: Sequence[type[Struct]], *, written: bool) -> Tree:
    """Return the schemas of messages and of what they hold, by class name, in the dialect of AsyncAPI."""
    _, found = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    trees: Tree = _draft_7(_tidy(found))
    for tree in trees.values() if written else ():
        _require_all(tree)
    return trees


def _headed(name: str, root: Tree, definitions: Tree) -> Tree:
    head = {"$schema": DIALECT, "$id": f"urn:latido:schema:{name}", **root}
    return {**head, "$defs": definitions} if definitions else head


def _require_all(tree: Tree) -> None:
    if "properties" in tree:
        tree["required"] = list(tree["properties"])
        for field in tree["properties"].values():
            field.pop("default", None)


def _tidy(node: Any) -> Any:
    """Return a tree with docstrings as plain text, without what is OpenAPI's own."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidy(value) for key, value in node.items() if not _is_openapi(key, value)}
    if isinstance(tidied.get("description"), str):
        tidied["description"] = inspect.cleandoc(tidied["description"]).replace("``", "`")
    return tidied


def _is_openapi(key: str, value: Any) -> bool:
    return key == "discriminator" and isinstance(value, dict) and "propertyName" in value


def _draft_7(node: Any) -> Any:
    """Return a tree whose tuples are written as in draft 7."""
    if isinstance(node, list):
        return [_draft_7(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _draft_7(value) for key, value in node.items()}
    if isinstance(changed.get("prefixItems"), list):
        changed["additionalItems"] = changed.pop("items", True)
        changed["items"] = changed.pop("prefixItems")
    return changed
