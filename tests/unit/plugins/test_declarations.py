from __future__ import annotations

import pytest

from ssl_platform.errors import PluginError
from ssl_platform.plan import ModelSpec, Plan, Reads, Refresh, ViewSpec
from ssl_platform.plugins import BackboneDeclaration, DomainDeclaration, ObjectiveDeclaration


@pytest.mark.parametrize("name", ["Sonar", "", "so nar", "dist:sonar", "-sonar"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(PluginError, match="use lower case letters"):
        DomainDeclaration(name, "a.b:C")


@pytest.mark.parametrize("factory", ["a.b", "a.b:", ":C", "os;system:x", "a b:C"])
def test_factories_are_module_and_name(factory: str) -> None:
    with pytest.raises(PluginError, match=r"write 'package\.module:Name'"):
        DomainDeclaration("sonar", factory)


def test_a_lone_string_is_not_a_tuple() -> None:
    with pytest.raises(PluginError, match="tasks must be a tuple of strings"):
        DomainDeclaration("sonar", "a:B", tasks="classification")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axes", "rank", "points"), [("C T", 1, False), ("C H W", 2, False), ("C D H W", 3, False), ("N C", 3, True)]
)
def test_rank_comes_from_the_axes(axes: str, rank: int, points: bool) -> None:
    domain = DomainDeclaration("sonar", "a:B", axes=axes)
    assert (domain.rank, domain.points) == (rank, points)


def test_prefix() -> None:
    timm = BackboneDeclaration("timm:*", "a:B", preset={"pretrained": False})
    assert timm.prefix == "timm:"
    assert timm.arguments("timm:resnet50") == {"pretrained": False, "model": "resnet50"}
    assert timm.arguments("ssl-platform:timm:resnet50")["model"] == "resnet50"
    assert BackboneDeclaration("vit-tiny", "a:B").prefix is None


def test_a_plan_survives_json() -> None:
    import json

    plan = Plan(
        views=(ViewSpec(count=2, scale=(0.2, 1.0)), ViewSpec(role="local", inside="global")),
        reads=Reads(count=2, relation="time", gap=3.0),
        offers=("tokens", "drop"),
        models=(("teacher", ModelSpec("frozen")),),
        refresh=Refresh(every="2ep"),
        labels="optional",
    )
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


def test_a_record_of_another_release_is_one_line() -> None:
    with pytest.raises(PluginError, match="objective record 'x' does not fit this release"):
        ObjectiveDeclaration.from_record({"name": "x"})
