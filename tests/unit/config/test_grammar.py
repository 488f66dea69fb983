from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from ssl_platform.config.grammar import parse_type, settings_model, settings_of, type_text
from ssl_platform.config.settings import Setting
from ssl_platform.errors import PluginError


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        float,
        bool,
        str,
        int | None,
        Literal["a", "b"],
        int | Literal["auto"],
        list[int],
        tuple[int, ...],
        tuple[float, float],
        dict[str, float],
        list[tuple[int, str]] | None,
    ],
)
def test_types_go_to_text_and_back(annotation: Any) -> None:
    assert type_text(parse_type(type_text(annotation))) == type_text(annotation)
    assert parse_type(type_text(annotation)) == annotation


@pytest.mark.parametrize("text", ["complex", "__import__('os')", "os.system", "set[int]", "int[", "lambda: 1"])
def test_outside_the_grammar(text: str) -> None:
    with pytest.raises(PluginError):
        parse_type(text)


def test_a_model_checks_types_bounds_and_names() -> None:
    model = settings_model(
        "objective", [Setting("ratio", "float", 0.5, "", {"gt": 0, "lt": 1}), Setting("dims", "tuple[int, ...]", (8,))]
    )
    assert model.model_validate({}).model_dump() == {"ratio": 0.5, "dims": (8,)}
    assert model.model_validate({"dims": [1, 2]}).model_dump()["dims"] == (1, 2)
    for wrong in ({"ratio": 1}, {"ratio": "x"}, {"dims": 3}, {"rati": 0.5}):
        with pytest.raises(ValidationError):
            model.model_validate(wrong)


def test_open_settings_pass_further_keys() -> None:
    model = settings_model("backbone", [], "allow")
    assert model.model_validate({"anything": 1}).model_dump() == {"anything": 1}


def test_bounds_of_a_tuple_hold_for_its_elements() -> None:
    class Config(BaseModel):
        widths: tuple[Annotated[int, Field(ge=1)], ...] = (4, 2)

    setting = settings_of(Config)[0]
    assert (setting.type, setting.bounds) == ("tuple[int, ...]", {"ge": 1})
    model = settings_model("Checked", [setting])
    assert model(widths=[3, 1]).widths == (3, 1)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        model(widths=[3, 0])
