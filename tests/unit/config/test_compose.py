"""Sources, later wins; every value knows where it came from; every wrong one is a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from ssl_platform.config.compose import complete, compose, schema_keys
from ssl_platform.config.loader import parse
from ssl_platform.config.provenance import dump
from ssl_platform.config.schema import RunConfig
from ssl_platform.domain import DomainOptions
from ssl_platform.errors import ConfigError, PluginError
from ssl_platform.plugins import BackboneDeclaration, DomainDeclaration, ObjectiveDeclaration, Setting


class Options(DomainOptions):
    depth: float = Field(10.0, gt=0, description="metres of water")
    bands: tuple[str, ...] = ()


class Offers:
    """A sonar domain, two objectives, two backbones."""

    def domain(self, name: str) -> DomainDeclaration:
        if name != "sonar":
            raise PluginError(f"unknown domain {name!r}")
        return DomainDeclaration("sonar", "a:B", default_objective="mae", default_backbone="vit")

    def objective(self, name: str) -> ObjectiveDeclaration:
        settings = {
            "mae": (Setting("mask_ratio", "float", 0.75, "", {"gt": 0, "lt": 1}),),
            "simclr": (
                Setting("temperature", "float", 0.1),
                Setting("negatives", "Literal['all', 'other-groups']", "all"),
            ),
        }
        if name not in settings:
            raise PluginError(f"unknown objective {name!r}")
        return ObjectiveDeclaration(name, "a:B", settings=settings[name])

    def backbone(self, name: str) -> BackboneDeclaration:
        return BackboneDeclaration(
            name, "a:B", settings=(Setting("depth", "int | None", None),), open_settings=name == "net"
        )

    def options(self, domain: str) -> type[DomainOptions]:
        return Options


def made(overrides: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **more: Any) -> RunConfig:
    given = {key: (f"--{key.split('.')[0]}", value) for key, value in {"domain": "sonar", **(options or {})}.items()}
    return compose("pretrain", Offers(), options=given, overrides=overrides, **more)


def write(tmp_path: Path, text: str, name: str = "r.yaml") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_defaults_come_from_schema_domain_objective_and_backbone() -> None:
    config = made()
    assert config.objective == {"name": "mae", "mask_ratio": 0.75}
    assert config.backbone == {"name": "vit", "depth": None}
    assert config.data.model_extra == {"depth": 10.0, "bands": []}
    sources = {
        key: config.source(key)
        for key in ("objective.name", "objective.mask_ratio", "data.depth", "optim.lr", "domain")
    }
    assert sources == {
        "objective.name": "domain sonar",
        "objective.mask_ratio": "objective mae",
        "data.depth": "domain sonar",
        "optim.lr": "default",
        "domain": "--domain",
    }
    assert not config.given("objective.name") and not config.given("optim.lr") and config.given("domain")


def test_later_sources_win(tmp_path: Path) -> None:
    one = write(tmp_path, "optim: {lr: 1, weight_decay: 1, clip: 1}\nseed: 1\n", "one.yaml")
    two = write(tmp_path, "optim: {lr: 2, weight_decay: 2}\nseed: 2\n", "two.yaml")
    config = made({"optim.lr": 4}, {"seed": 3}, recipes=[one, two])
    assert (config.optim.lr, config.optim.weight_decay, config.optim.clip, config.seed) == (4, 2, 1, 3)
    assert config.source("optim.lr") == "override"
    assert config.source("optim.weight_decay") == f"recipe {two} line 1"
    assert config.source("optim.clip") == f"recipe {one} line 1"
    assert config.source("seed") == "--seed"


def test_naming_another_objective_drops_the_settings_of_the_one_before(tmp_path: Path) -> None:
    recipe = write(tmp_path, "objective: {name: mae, mask_ratio: 0.5}\n")
    config = made({"objective.temperature": 0.2}, {"objective.name": "simclr"}, recipes=[recipe])
    assert config.objective == {"name": "simclr", "temperature": 0.2, "negatives": "all"}


def test_settings_of_the_default_objective_need_no_name() -> None:
    assert made({"objective.mask_ratio": 0.6}).objective == {"name": "mae", "mask_ratio": 0.6}


def test_a_plain_name_is_short_for_the_name(tmp_path: Path) -> None:
    config = made(recipes=[write(tmp_path, "objective: simclr\nbackbone: vit\n")])
    assert config.objective["name"] == "simclr"


def test_open_settings_pass() -> None:
    assert made({"backbone.drop": 0.1}, {"backbone.name": "net"}).backbone == {
        "name": "net",
        "depth": None,
        "drop": 0.1,
    }


WRONG = {
    "optim.lrr=1": "optim.lrr: unknown key (did you mean 'optim.lr'?) [override]",
    "lr=1": "lr: unknown key (did you mean 'finetune.lr' or 'optim.lr'?) [override]",
    "optim.lr=fast": "optim.lr=fast: must be a number or 'auto' [override]",
    "data.batch_size=many": "data.batch_size=many: must be an integer or 'auto' [override]",
    "optim.name=adam": "optim.name=adam: must be 'adamw', 'lars', 'sgd' or 'auto' [override]",
    "data.max_bad_fraction=2": "data.max_bad_fraction=2: must be at most 1 or 'auto' [override]",
    "labels.fraction=0": "labels.fraction=0: must be above 0 [override]",
    "health.stop=perhaps": "health.stop=perhaps: must be true or false [override]",
    "data.window=32,32": "data.window=32,32: must be a list such as [32, 32] or 'auto': write [32,32] [override]",
    "data.window=[32, x]": "data.window[1]=x: must be an integer or 'auto' [override]",
    "objective.mask_ratio=1.5": "objective.mask_ratio=1.5: must be below 1 [override]",
    "objective.mask_rate=0.5": "objective.mask_rate: unknown key (did you mean 'objective.mask_ratio'?) [override]",
    "backbone.dept=3": "backbone.dept: unknown key (did you mean 'backbone.depth'?) [override]",
    "data.dept=3": "data.dept: unknown key (did you mean 'data.depth'?) [override]",
    "data.depth=-1": "data.depth=-1: must be above 0 [override]",
    "optim=3": "optim=3: is a section, set one of its keys [override]",
    "views.strength=-1": "views.strength=-1: must be at least 0 [override]",
}


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_values_are_one_line(argument: str) -> None:
    from ssl_platform.config.overrides import parse_overrides

    with pytest.raises(ConfigError) as error:
        made(parse_overrides([argument]))
    assert str(error.value) == WRONG[argument]


def test_wrong_values_in_a_recipe_name_its_line(tmp_path: Path) -> None:
    recipe = write(tmp_path, "seed: 1\noptim:\n  lr: 1\n  momentun: 0.9\n")
    with pytest.raises(ConfigError) as error:
        made(recipes=[recipe])
    assert str(error.value) == f"optim.momentun: unknown key (did you mean 'optim.momentum'?) [recipe {recipe} line 4]"


def test_several_wrong_keys_are_counted() -> None:
    with pytest.raises(ConfigError, match=r"\(and 1 more\)"):
        made({"optim.a": 1, "optim.b": 2})


def test_a_recipe_of_another_command_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is for finetune, not pretrain: run ssl-platform finetune"):
        made(recipes=[write(tmp_path, "command: finetune\n")])


def test_settings_of_nobody() -> None:
    with pytest.raises(ConfigError, match=r"objective\.mask_ratio: name the objective first"):
        compose("probe", Offers(), overrides={"objective.mask_ratio": 0.5})


def test_paths_become_absolute_and_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = made({"data.paths": ["scans", "s3://bucket/shards", "/abs"], "data.manifest": "m.csv"})
    assert config.data.paths == [str(tmp_path / "scans"), "s3://bucket/shards", "/abs"]
    assert config.data.manifest == str(tmp_path / "m.csv")
    assert made({"data.paths": "scans"}).data.paths == [str(tmp_path / "scans")]


def test_the_resolved_file_resolves_identically(tmp_path: Path) -> None:
    config = made(
        {"optim.lr": 1e-5, "objective.mask_ratio": 0.6, "data.sources": {"a": 1.0}, "data.depth": 3}, {"seed": 7}
    )
    config.resolve("data.batch_size", 8, "8 fit")
    saved = write(tmp_path, dump(config), "config.yaml")
    again = compose("pretrain", Offers(), recipes=[saved])
    assert dump(again) == dump(config)
    assert again.model_dump() == config.model_dump()


def test_dump_with_sources_is_yaml_with_a_comment_a_value() -> None:
    text = dump(made({"optim.lr": 1e-3}), sources=True)
    assert parse(text, "x").values["optim"]["lr"] == 1e-3
    own = text.split("\nfinetune:")[0]  # names recur in later sections
    lines = {line.split(":")[0].strip(): line.split("#")[1].strip() for line in own.splitlines() if "#" in line}
    assert lines["lr"] == "override"
    assert lines["domain"] == "--domain"
    assert lines["mask_ratio"] == "objective mae"
    assert lines["max_steps"] == "default"


def test_plain_yaml_readers_see_the_same_keys() -> None:
    import yaml

    config = made({"optim.lr": 1e-5})
    assert yaml.safe_load(dump(config)) == config.model_dump(mode="json", by_alias=True)


def test_resolved_values_keep_their_reason() -> None:
    config = made()
    config.resolve("optim.lr", 1e-4, "scaled by batch")
    config.resolve("objective.mask_ratio", 0.5, "tiny")
    assert config.optim.lr == 1e-4 and config.objective["mask_ratio"] == 0.5
    assert config.source("optim.lr") == "resolved scaled by batch"
    assert not config.given("optim.lr")


def test_a_domain_told_later_checks_its_keys() -> None:
    config = compose("probe", Offers(), overrides={"data.depth": 3, "optim.lr": 1e-3})
    done = complete(config, "sonar", Offers())
    assert done.domain == "sonar" and done.data.model_extra == {"depth": 3.0, "bands": []}
    assert done.source("optim.lr") == "override"
    with pytest.raises(ConfigError, match=r"data\.dept: unknown key"):
        complete(compose("probe", Offers(), overrides={"data.dept": 3}), "sonar", Offers())


def test_every_schema_key_is_described() -> None:
    keys = schema_keys(RunConfig)
    assert "data.with" in keys and "optim.lr" in keys
    assert all(keys.values()), [key for key, text in keys.items() if not text]


def test_a_duration_may_be_a_plain_number() -> None:
    config = made({"optim.warmup": 100})
    assert config.optim.warmup == "100"
