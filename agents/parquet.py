"""Parquet files of recorded events as lines: a row is a line, a column a field of the same name, null a field that is absent.

``facts`` is a column of JSON text, or a map; a column of timestamps needs a zone. Reads one batch of rows at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS_AT_ONCE: Final = 10_000
NEEDED: Final = ("type", "event_id", "account_id", "occurred_at")
FACTS: Final = "facts"


def parquet_lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield the rows of an open parquet file as JSON lines.

    Raises:
        ConfigError: it cannot be read, or one of its columns cannot be told as JSON.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            f"{path}: parquet is read with pyarrow, which is not installed. Install latido[parquet], or give .jsonl."
        ) from None
    try:
        source = parquet.ParquetFile(file)
        columns = _columns(path, source.schema_arrow)
        for batch in source.iter_batches(ROWS_AT_ONCE):
            yield from map(_line, _rows(batch, columns))
    except pa.ArrowException as error:
        raise ConfigError(f"{path}: cannot be read as parquet ({error}). Write it again.") from error


def _columns(path: Path, schema: Any) -> dict[str, Any]:
    """Return the columns, each with the type as which it is read."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    missing = [name for name in NEEDED if name not in schema.names]
    if missing:
        raise ConfigError(
            f"{path}: has no column {', '.join(missing)}; it has {', '.join(schema.names)}. Name the columns as the fields "
            "of recorded events; `type` is login, ticket, payment, page_visit or facts."
        )
    columns = {}
    for field in schema:
        kind = field.type
        if types.is_timestamp(kind):
            if kind.tz is None:
                raise ConfigError(
                    f"{path}: column {field.name} is {kind}, without a zone. Write it with one, or as integer ms UTC."
                )
            kind = pa.timestamp("ms", kind.tz)
        if field.name == FACTS and types.is_struct(kind):
            raise ConfigError(
                f"{path}: column facts is {kind}, in which an absent fact is null, and null deletes a fact. Write it as JSON "
                "text, or as a map."
            )
        columns[field.name] = kind
    return columns


def _rows(batch: Any, columns: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch; instants are whole milliseconds."""
    from pyarrow import int64, types  # noqa: PLC0415

    told = []
    for name, kind in columns.items():
        values = batch.column(name)
        if types.is_timestamp(kind):
            values = values.cast(kind, safe=False).cast(int64())
        cells = values.to_pylist()
        told.append(map(_facts, cells) if name == FACTS else cells)
    for row in zip(*told, strict=True):
        yield dict(zip(columns, row, strict=True))


def _facts(told: Any) -> Any:
    if isinstance(told, str):
        return msgspec.Raw(told.encode())
    return None if told is None else dict(told)


def _line(row: dict[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in row.items() if value is not None})
