"""What `latido models` tells: coverage without facts, mistakes with their lines, and what a row costs."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from agents.cli import main
from agents.model_tables import kept, row_layout, weight_by_fact, weight_of_events
from agents.program import known_models, load_model, load_policy, policy_with_models

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.shell.conftest import Latido

HEALTH = files("schemas").joinpath("models", "health.yaml").read_text()
POLICY = "policy: mine\nversion: 3\nmodels: [{model}]\nactivity: [login]\n"


def latido_models(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["models", *arguments])


def row(output: str, name: str) -> list[str]:
    (line,) = (line for line in output.splitlines() if line.startswith(f"{name} "))
    return line.split()


def test_what_the_four_event_topics_alone_reach_of_each_shipped_model() -> None:
    found = {name: load_model(name) for name in known_models(None)}
    assert {name: (weight_of_events(model), model.denominator) for name, model in found.items()} == {
        "adoption": (100, 100),
        "axon": (85, 100),
        "bigcommerce": (3, 17),
        "expansion": (50, 100),
        "expansion-4x4": (50, 100),
        "guide": (51, 100),
        "health": (25, 100),
        "qualification": (100, 100),
        "retention": (100, 100),
        "siemens": (10, 18),
        "value": (0, 4),
        "value-weighted": (0, 4),
    }


def test_half_of_a_grid_is_not_enough_if_an_axis_is_unknown() -> None:
    listed = latido_models("list").output
    assert "50/100: no score without facts" in " ".join(row(listed, "expansion"))
    assert "E < D < C < B < A x 5 < 4 < 3 < 2 < 1" in " ".join(row(listed, "expansion"))
    assert "10/18:" not in " ".join(row(listed, "siemens"))


def test_the_facts_that_raise_coverage_are_told_with_their_weights() -> None:
    assert weight_by_fact(load_model("health")) == {
        "nps": 15,
        "references_given": 10,
        "savings_pct": 15,
        "efficiency_pct": 15,
        "goals_pct": 20,
    }


def test_a_fact_that_two_components_read_is_told_once_with_the_weight_of_both(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text(HEALTH.replace("source: savings_pct", "source: goals_pct"))
    facts = weight_by_fact(load_model(tmp_path / "twice.yaml"))
    assert facts["goals_pct"] == 35
    assert "savings_pct" not in facts


def test_the_list_shows_what_is_enabled_and_what_a_model_can_see_without_facts() -> None:
    done = latido_models("list")
    assert done.exit_code == 0
    assert row(done.output, "retention")[:5] == ["retention", "1", "yes", "6", "0..100"]
    assert "lost < leaving < cooling < healthy" in done.output
    health = " ".join(row(done.output, "health"))
    assert "25/100: no score without facts" in health
    assert "nps +15/100, references_given +10/100" in health


def test_the_list_is_that_of_a_policy_with_the_models_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(HEALTH.replace("model: health", "model: ours"))
    (tmp_path / "mine.yaml").write_text(POLICY.format(model="ours"))
    done = latido_models("list", "--policy", str(tmp_path / "mine.yaml"))
    assert done.output.startswith("policy mine version 3\n")
    assert row(done.output, "ours")[2] == "yes"
    assert row(done.output, "health")[2] == "no"


def test_the_folder_of_models_is_listed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours.yaml").write_text(HEALTH.replace("model: health", "model: ours"))
    monkeypatch.setenv("LATIDO_MODELS_DIR", str(tmp_path))
    assert row(latido_models("list").output, "ours")[2] == "no"


def test_all_mistakes_of_all_files_are_told_and_the_good_ones_reported(
    latido: Latido, tmp_path: Path
) -> None:
    broken = HEALTH.replace("version: 1", "version: 0").replace("hysteresis: 2", "hysteresis: wide")
    (tmp_path / "first.yaml").write_text(broken)
    (tmp_path / "second.yaml").write_text(POLICY.format(model="health").replace("[login]", "[dancing]"))
    done = latido("models", "check", str(tmp_path / "first.yaml"), "retention", str(tmp_path / "second.yaml"))
    assert done.returncode == 2
    assert done.stderr.count("latido: ") == 1
    line = HEALTH[: HEALTH.index("hysteresis: 2")].count("\n") + 1
    for mistake in (
        "2 mistake(s)",
        "line 4: version",
        f"line {line}: hysteresis",
        "line 4: activity.0: unknown",
    ):
        assert mistake in done.stderr
    assert "retention version 1: 6 components, 4 bands; no mistakes" in done.stdout


def test_a_good_model_says_its_bytes_alone_and_beside_the_enabled_ones() -> None:
    policy, enabled = policy_with_models("default")
    models = [model for model, _ in enabled]
    alone = row_layout(policy, [load_model("health")]).dtype.itemsize
    together = row_layout(policy, models).dtype.itemsize
    assert alone < together
    done = latido_models("check", "health")
    said = f"policy default: {alone} alone, {together} together (retention, adoption, health)"
    assert said in done.output
    assert row(done.output, "the row")[-1] == str(alone)


def test_a_further_model_is_counted_beside_the_enabled_ones(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(HEALTH.replace("model: health", "model: ours"))
    assert "(retention, adoption, health, ours)" in latido_models("check", str(tmp_path / "ours.yaml")).output


def test_a_policy_is_checked_with_its_models_and_says_its_row(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(POLICY.format(model="retention"))
    done = latido_models("check", str(tmp_path / "mine.yaml"))
    assert "policy mine version 3: models retention; no mistakes" in done.output
    (tmp_path / "mine.yaml").write_text(POLICY.format(model="adoptoin"))
    done = latido_models("check", str(tmp_path / "mine.yaml"))
    assert done.exit_code == 2
    assert "'adoptoin', which does not exist" in done.output


def test_a_file_that_is_not_there_is_told_with_what_is(latido: Latido) -> None:
    done = latido("models", "check", "nothing.yaml")
    assert done.returncode == 2
    assert "'nothing.yaml' cannot be read (No such file or directory)" in done.stderr
    assert "one of: adoption, axon, bigcommerce," in done.stderr


@pytest.mark.parametrize("names", [["retention"], ["health"], ["retention", "adoption", "health"]])
def test_the_table_of_what_is_kept_sums_to_the_row(names: list[str]) -> None:
    layout = row_layout(load_policy("default"), [load_model(name) for name in names])
    parts = kept(layout)
    assert sum(part.size_bytes for part in parts) == layout.dtype.itemsize
    assert all(part.cells > 0 for part in parts if part.cell_type)
    assert sum(part.size_bytes for part in parts if not part.cell_type) < 16, "alignment takes a few bytes"


def test_aim_a_row_of_the_default_models_takes_at_most_1_kib_an_account() -> None:
    policy, enabled = policy_with_models("default")
    assert [model.model for model, _ in enabled] == ["retention", "adoption", "health"]
    assert row_layout(policy, [model for model, _ in enabled]).dtype.itemsize <= 1024
