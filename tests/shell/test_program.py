from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from agents.program import known_models, load_model, load_program
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

POLICY = "policy: mine\nversion: 1\nmodels: [{model}]\nactivity: [login]\n{more}"
RETENTION = files("schemas").joinpath("models", "retention.yaml").read_text()


def policy(folder: Path, model: str = "retention", more: str = "") -> str:
    path = folder / "mine.yaml"
    path.write_text(POLICY.format(model=model, more=more))
    return str(path)


def model(folder: Path, name: str, *, says: str = "", text: str = RETENTION) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(text.replace("model: retention", f"model: {says or name}"))


def test_the_shipped_policy_loads_by_name() -> None:
    assert [model.model for model in load_program("default").models] == ["retention", "adoption", "health"]


def test_a_policy_file_takes_a_shipped_model(tmp_path: Path) -> None:
    assert load_program(policy(tmp_path)).policy.policy == "mine"


def test_a_model_may_stand_beside_the_policy(tmp_path: Path) -> None:
    model(tmp_path, "ours")
    assert load_program(policy(tmp_path, "ours")).models[0].model == "ours"


def test_a_model_beside_the_policy_stands_in_for_a_shipped_one(tmp_path: Path) -> None:
    model(tmp_path, "retention", text=RETENTION.replace("version: 1", "version: 7"))
    assert load_program(policy(tmp_path)).models[0].version == 7


def test_a_model_may_be_in_the_folder_of_models(tmp_path: Path) -> None:
    model(tmp_path / "models", "ours")
    assert load_program(policy(tmp_path, "ours"), tmp_path / "models").models[0].model == "ours"
    assert list(known_models(tmp_path / "models")) == [*known_models(None), "ours"]
    assert load_model("ours", tmp_path / "models").model == "ours"


def test_a_name_is_not_shipped_and_in_the_folder_of_models_at_once(tmp_path: Path) -> None:
    model(tmp_path / "models", "retention")
    with pytest.raises(ConfigError, match=r"'retention' is shipped and also in .* Rename"):
        load_program("default", tmp_path / "models")


def test_an_unknown_model_is_told_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"(?s)'adoptoin', which does not exist.*enable one of: adoption, axon, bigcommerce"
    ):
        load_program(policy(tmp_path, "adoptoin"))


def test_a_model_file_of_another_name_is_told(tmp_path: Path) -> None:
    model(tmp_path, "ours", says="theirs")
    with pytest.raises(ConfigError, match=r"ours.yaml: the file says `model: theirs`, the policy 'ours'"):
        load_program(policy(tmp_path, "ours"))


def test_a_policy_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)cannot be read \(No such file.*one of: default"):
        load_program(str(tmp_path / "none.yaml"))


def test_a_policy_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot be read \(not UTF-8\)"):
        load_program(str(tmp_path / "bad.yaml"))


def test_an_unknown_time_zone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="time_zone 'Europe/Atlantis' is not known"):
        load_program(policy(tmp_path, more="time_zone: Europe/Atlantis\n"))
