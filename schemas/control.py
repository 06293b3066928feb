"""What the control topic says: changes of the whole application, each from an instant on."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from schemas.events import Instant
from schemas.wire import InputName

RECORDED_CONTROL: Final = "control"
"""The ``type`` of a line in a recorded file that is a control record."""
CONTROL_BYTES_MAX: Final = 900_000
"""A record with a policy and its models has to fit into the topic and into the account table."""
HASH_DIGITS: Final = 32

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Offset = Annotated[int, Meta(ge=0)]


class _Control(Struct, kw_only=True, tag_field="kind"):
    id: Id
    effective_at: Instant
    author: str | None = None


class Pause(_Control, tag="pause"):
    """Alerts of both topics are held back from ``effective_at`` on; scores and episodes go on."""


class Resume(_Control, tag="resume"):
    """Alerts are sent again from ``effective_at`` on; what was held back and is still open is told then."""


class GoLive(_Control, tag="go_live"):
    """Alerts are held back before ``effective_at``: what history alone would tell is told to nobody."""

    id: Literal["application"] = "application"


class ActivatePolicy(_Control, tag="policy"):
    """Another policy takes hold: the contents of its file and of its models' files, in its order.

    ``hash`` is that of ``content_hash``.
    """

    hash: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    policy: dict[str, Any]
    models: list[dict[str, Any]]


class ResumeInput(_Control, tag="resume_input"):
    """An input that rejects in a row halted at ``offset`` goes on behind it; ``effective_at`` says nothing."""

    input: InputName
    partition: Offset
    offset: Offset


class SkipInput(_Control, tag="skip_input"):
    """The same, at ``to_offset``: the records before that are not read."""

    input: InputName
    partition: Offset
    offset: Offset
    to_offset: Offset


class MergeAccounts(_Control, tag="merge"):
    """The account ``old`` ends, and what is kept of it is joined to ``new``, which it becomes if there is none."""

    old: str
    new: str


class JoinAccount(_Control, tag="join"):
    """What was kept of an account as a merge ended it, for the owner of another one; workers of ``application`` write it.

    ``row`` is its changelog value, ``layout`` the description of that value's layout.
    """

    application: str
    into: str
    old: str = field(name="from")
    row: bytes
    layout: bytes


ControlRecord = (
    Pause | Resume | GoLive | ActivatePolicy | ResumeInput | SkipInput | MergeAccounts | JoinAccount
)
CONTROL_TYPES: Final[tuple[type[ControlRecord], ...]] = (
    Pause, Resume, GoLive, ActivatePolicy, ResumeInput, SkipInput, MergeAccounts, JoinAccount,
)  # fmt: skip
CONTROL_KINDS: Final = tuple(str(kind.__struct_config__.tag) for kind in CONTROL_TYPES)


def kind_of(record: ControlRecord) -> str:
    """Return the kind of a record."""
    return str(record.__struct_config__.tag)


def accounts_of(record: ControlRecord) -> tuple[str, ...]:
    """Return the accounts that a record names."""
    if isinstance(record, MergeAccounts):
        return record.old, record.new
    return (record.old, record.into) if isinstance(record, JoinAccount) else ()


def control_key(record: ControlRecord) -> bytes:
    """Return the key under which a record lies in the topic."""
    return f"{kind_of(record)}:{record.id}".encode()


def is_of_join(key: bytes | None) -> bool:
    """Return whether a key is that of a join."""
    return key is not None and key.startswith(f"{JoinAccount.__struct_config__.tag}:".encode())


def content_hash(policy: dict[str, Any], models: list[dict[str, Any]]) -> str:
    """Return the hash of the contents of a policy and its models."""
    text = json.dumps([policy, models], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:HASH_DIGITS]
