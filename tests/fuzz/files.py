"""Policy and model files that nobody would write: drawn and shipped ones with lines, numbers and words exchanged."""

from __future__ import annotations

from collections import Counter
from functools import cache
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING

import yaml

from agents.zones import ZoneDatabase
from schemas.errors import ConfigError
from schemas.model_file import ModelFile
from schemas.policy import Policy
from schemas.yaml_file import parse_yaml
from streams.plan import compile_program
from tests.auditor import worlds
from tests.auditor.scenarios import SCHEMAS

if TYPE_CHECKING:
    from tests.auditor.scenarios import Tree

WORLDS = 7
SECONDS_MAX, MESSAGE_MAX = 10.0, 100_000
SCALARS = (
    "", "~", "null", "true", "yes", "0", "-1", "1", "7", "14", "182", "189", "3650", "3651", "60001", "0.001", "0.0005",
    "1.5", "100.001", "1e3", "1e400", "-.inf", ".inf", ".nan", "9223372036854775808", "9" * 5000, "0x1F", "0o17", "0b",
    "1_000", "1:30", "2026-03-01", "2026-02-30", "2026-03-01T00:00:00Z", "0001-01-01", "9999-12-31",
    "2001-12-14t21:59:43.10-05:00", "[]", "{}", "[[]]", "{a: {a: 1}}", "[1, 2]", "'", '"', '"\\ud800"', '"\\0"', '"\\x"',
    "\u2028", "\x07", "é" * 300, "a" * 3000, "customer", "left", "right", "fact", "ratio", "mean", "users", "logins", "nps",
    "csm_sentiment", "csat", "first", "second", "login", "monday", "hour", "critical", "UTC", "America", "Europe/Madrid",
    "/etc/passwd", "../x", "*", "&a", "*a", "&a [*a]", "&a {x: *a}", "!!python/object/apply:os.system [x]", "!!binary x",
    "!!set {a}", "!!timestamp x", "!!int x", "!!float x", "!x y", "<<: 5", "? [a]", "? {a: b}", "%YAML 9.9", "---", "...",
    "- ", ": ", "#", "|", ">", "\t", "@", "`", "0x" + "f" * 5000, '{"\\ud800": 1}', "{1: 2, null: 3}",
    "&a [x,x,x,x,x,x,x,x,x]", "[" * 300, "{a: " * 300,
)  # fmt: skip
BOMB = "\n".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine to the eighth times what ``a`` is, in nine lines."""


@cache
def originals(number: int) -> dict[str, str]:
    """Return the files of a world by name: its policy as ``""``, its models; the shipped ones for the last."""
    if number == WORLDS:
        models = {path.stem: path.read_text() for path in sorted((SCHEMAS / "models").glob("*.yaml"))}
        return models | {"": (SCHEMAS / "policies" / "default.yaml").read_text()}
    its = worlds.world(number)
    trees: dict[str, Tree] = {"": its.policy} | its.models
    return {name: yaml.safe_dump(tree, sort_keys=False) for name, tree in trees.items()}


def changed(rng: Random, text: str) -> str:
    """Return a file made of another one."""
    lines = text.splitlines()
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(lines))
        line, other = lines[at], rng.choice(lines)
        match rng.randrange(8):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines.insert(at, other)
            case 2:
                lines[at] = rng.choice(["  ", " ", "\t", "- "]) + line
            case 3:
                lines[at] = line.replace("  ", "", 1)
            case 4 if rng.random() < 0.1:
                lines = ["a: &a [x]", BOMB, *lines]
            case _:
                head, colon, _ = line.partition(":")
                dash = line[: len(line) - len(line.lstrip(" -"))]
                lines[at] = (head + colon + " " if colon else dash) + rng.choice(SCALARS)
    return "\n".join(lines)


def judge(rng: Random) -> Counter[str]:
    """Read a drawn policy with its models, one of them changed, and assert what must be true; return what became of it.

    Raises:
        AssertionError: a refusal does not say what is wrong where, or reading takes too long.
    """
    files = originals(rng.randrange(WORLDS + 1))
    victim = rng.choice([*files, ""])
    text = changed(rng, files[victim])
    begin = perf_counter()
    try:
        mine = parse_yaml(text, ModelFile if victim else Policy, name="drawn")
        others = [parse_yaml(files[name], ModelFile, name=name) for name in files if name not in {"", victim}]
        policy = mine if isinstance(mine, Policy) else parse_yaml(files[""], Policy, name="policy")
        models = {model.model: model for model in [*others, *([mine] if isinstance(mine, ModelFile) else [])]}
        named = [models[name] for name in policy.models if name in models]
        compile_program(
            policy.model_copy(update={"models": [model.model for model in named]}), named, ZoneDatabase()
        )
        outcome = "accepted"
    except ConfigError as refusal:
        outcome, message = "refused", str(refusal)
        assert message.encode()
        assert any(told in message for told in ("line ", "position ", "'", "more than")), message
        assert len(message) < MESSAGE_MAX, message
    seconds = perf_counter() - begin
    assert seconds < SECONDS_MAX, f"{seconds:.1f} s for {text[:2000]!r}"
    return Counter([outcome])
