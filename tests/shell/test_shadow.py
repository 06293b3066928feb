"""What commands say of models in shadow: what they tell of recorded events, and that they are only shown.

quiet   40 days of log-ins, then nothing
busy    a log-in on each of 120 days
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from agents.cli import main
from agents.program import load_program, shipped
from schemas.control import content_hash
from tests.shell.test_control import DAY_MS, START_MS, recording

if TYPE_CHECKING:
    from pathlib import Path


def latido(*arguments: object) -> str:
    return CliRunner().invoke(main, list(map(str, arguments))).output


def policy(folder: Path, models: str, shadow: str) -> Path:
    text = shipped("policies")["default"].read_text(encoding="utf-8")
    text = text.replace("[retention, adoption, health]", f"[{models}]").replace(
        "shadow: []", f"shadow: [{shadow}]"
    )
    file = folder / "policy.yaml"
    file.write_text(text)
    return file


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_report_counts_what_is_told_in_shadow_and_live_and_pairs_the_bands(tmp_path: Path) -> None:
    file, recorded = policy(tmp_path, "retention, adoption, health", "adoption"), recording(tmp_path)
    latido("replay", recorded, "--policy", file, "--out", tmp_path / "out")
    told = {
        name: [json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("score-changes", "shadow-scores", "accounts")
    }
    assert {change["model"] for change in told["shadow-scores"]} == {"adoption"}
    changes = told["score-changes"] + told["shadow-scores"]
    counts = {}
    for model in ("retention", "adoption", "health"):
        mine = [change for change in changes if change["model"] == model]
        counts[model] = len(mine), sum(change["old"]["band"] != change["new"]["band"] for change in mine)
    assert counts["retention"] > counts["adoption"] > counts["health"] == (0, 0)
    for live in ("retention", "health"):
        head, heads, *pairs = latido(
            "report", "shadow", recorded, "--policy", file, "--against", live
        ).splitlines()
        assert head == (
            f"{live}: {counts[live][0]} score changes, {counts[live][1]} of the band; "
            f"adoption (in shadow): {counts['adoption'][0]} score changes, {counts['adoption'][1]} of the band"
        )
        assert heads.split() == ["accounts", live, "adoption"]
        bands = [
            (next(s["band"] for s in view["scores"] if s["model"] == live), view["shadow"][0]["band"])
            for view in told["accounts"]
        ]
        assert sorted(rows("\n".join(pairs))) == sorted(
            [str(bands.count(pair)), *pair] for pair in set(bands)
        )


@pytest.mark.parametrize("shadow", ["", "health"])
def test_a_recording_that_activates_other_models_is_refused(tmp_path: Path, shadow: str) -> None:
    program = load_program(str(policy(tmp_path, "retention, health", shadow)), None)
    content = program.policy.model_dump(mode="json")
    models = [each.model_dump(mode="json", by_alias=True) for each in program.models]
    told = {"policy": content, "models": models, "hash": content_hash(content, models)}
    line = {"type": "control", "kind": "policy", "id": "x", "effective_at": START_MS + 60 * DAY_MS, **told}
    recorded = recording(tmp_path)
    with recorded.open("a") as lines:
        lines.write(json.dumps(line) + "\n")
    file = policy(tmp_path, "retention, adoption", "adoption")
    said = latido("report", "shadow", recorded, "--policy", file)
    assert "the recorded events activate another policy" in said
    assert f"live retention{'' if shadow else ', health'}; in shadow {shadow or 'none'})" in said


@pytest.mark.parametrize(
    ("shadow", "more", "message"),
    [
        ("", [], "policy default has no model in shadow (models: retention, health)"),
        (
            "health",
            ["--against", "health"],
            "'health' is not a live model of policy default; those are: retention.",
        ),
        ("health", ["--against", "helth"], "'helth' is not a live model"),
    ],
)
def test_a_report_of_nothing_in_shadow_is_refused(
    tmp_path: Path, shadow: str, more: list[str], message: str
) -> None:
    file = policy(tmp_path, "retention, health", shadow)
    told = latido("report", "shadow", recording(tmp_path), "--policy", file, *more)
    assert message in told
    assert len(told.splitlines()) == 1


def test_models_in_shadow_are_marked_wherever_models_are_listed(tmp_path: Path) -> None:
    file = policy(tmp_path, "retention, health", "health")
    how = {row[0]: row[2:4] for row in rows(latido("models", "list", "--policy", file)) if len(row) > 4}
    assert how["retention"][0] == "yes"
    assert how["health"] == ["in", "shadow"]
    assert how["adoption"][0] == "no"
    for command in (["policy", "check", file], ["models", "check", file]):
        assert "models retention, health (in shadow); " in latido(*command)


def test_a_diff_of_policies_tells_bands_of_models_in_shadow_and_under_which_they_are(tmp_path: Path) -> None:
    recorded = recording(tmp_path)
    (tmp_path / "live").mkdir()
    before, after = (
        policy(tmp_path, "retention, health", "health"),
        policy(tmp_path / "live", "retention, health", ""),
    )
    told = rows(latido("policy", "diff", before, after, recorded))
    health = [row for row in told if row[:1] == ["health"]]
    assert {tuple(row[1:4]) for row in health} == {("(in", "shadow:", "before)")}
    assert [row[4] for row in health] == [row[5] for row in health]
    assert sum(int(row[-1]) for row in health) == 2
    assert not [row for row in told if row[:1] == ["retention"] and "(in" in row]


def test_models_are_compared_by_their_bands_also_where_the_policy_has_them_in_shadow(tmp_path: Path) -> None:
    file, recorded = policy(tmp_path, "retention, health", "health"), recording(tmp_path)
    told = latido("models", "diff", "health", "retention", recorded, "--policy", file)
    assert "2 of 2 accounts are in another band" in told
    assert "applies to" in latido("models", "list", recorded, "--policy", file)


def test_an_explanation_marks_models_in_shadow_and_what_would_go_out_of_them(tmp_path: Path) -> None:
    file, recorded = policy(tmp_path, "retention, adoption", "adoption"), recording(tmp_path)
    told: dict[str, Any] = json.loads(
        latido("explain", "busy", "--policy", file, "--json", "--files", recorded)
    )
    assert [(model["model"], model["shadow"]) for model in told["models"]] == [
        ("retention", False),
        ("adoption", True),
    ]
    assert [move["shadow"] for move in told["if_active_now"]["scores"]] == [False, True]
    topics = {(step["topic"], step["message"].get("model")) for step in told["without_any_event"]}
    assert ("shadow-scores", "adoption") in topics
    assert not {topic for topic, model in topics if model == "adoption"} - {"shadow-scores"}
    lines = latido("explain", "busy", "--policy", file, "--files", recorded).splitlines()
    marked = [line for line in lines if line.endswith("(in shadow: only shown)")]
    assert {line.split()[0].lower() for line in marked if not line.startswith("  ")} == {"adoption"}
    assert any(line.startswith("  20") for line in marked)
    assert not [line for line in marked if "Retention" in line]
    assert "(en sombra: solo se muestra)" in latido(
        "explain", "busy", "--policy", file, "--language", "es", "--files", recorded
    )
