"""Types that the outputs are made of."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from schemas.reasons import Severity
from schemas.topics import INPUT_TOPICS

Time = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        description="RFC 3339 UTC with milliseconds",
        extra_json_schema={"format": "date-time"},
    ),
]
Identifier = Annotated[
    str, Meta(pattern="^[0-9a-f]{32}$", description="the same for the same happening, however often computed")
]
Version = Annotated[int, Meta(ge=1)]
Points = Annotated[float, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(ge=0)]
DaysPerWeek = Annotated[float, Meta(ge=0, le=7)]
InputName = Annotated[str, Meta(extra_json_schema={"enum": [topic.name for topic in INPUT_TOPICS.values()]})]
SeverityName = Annotated[str, Meta(extra_json_schema={"enum": [severity.label for severity in Severity]})]
