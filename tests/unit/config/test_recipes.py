"""Every shipped recipe is found, described and valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_platform.config import recipes
from ssl_platform.config.recipes import find_recipe, load_recipe
from ssl_platform.configure import configure
from ssl_platform.errors import ConfigError
from ssl_platform.plugins import registry


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("sonar/mae", "sonar/dino", "radar/mae"):
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"# About {name}.\nseed: 3\n")
    monkeypatch.setattr(recipes, "recipe_folder", lambda: tmp_path)
    return tmp_path


def test_names_and_summaries(folder: Path) -> None:
    assert [(r.name, r.summary) for r in recipes.recipes()] == [
        ("radar/mae", "About radar/mae."),
        ("sonar/dino", "About sonar/dino."),
        ("sonar/mae", "About sonar/mae."),
    ]


def test_by_name_by_unique_end_and_by_file(folder: Path) -> None:
    assert find_recipe("sonar/mae").path == folder / "sonar" / "mae.yaml"
    assert find_recipe("dino").name == "sonar/dino"
    assert load_recipe(str(folder / "radar" / "mae.yaml")).values == {"seed": 3}


def test_errors(folder: Path) -> None:
    with pytest.raises(ConfigError, match="recipe 'mae' is ambiguous: radar/mae, sonar/mae"):
        find_recipe("mae")
    with pytest.raises(ConfigError, match=r"no file or shipped recipe 'dinoo' \(did you mean 'sonar/dino'\?\)"):
        load_recipe("dinoo")
    with pytest.raises(ConfigError, match=r"no recipe file absent\.yaml"):
        load_recipe("absent.yaml")
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").touch()
    with pytest.raises(ConfigError, match=r"is a folder: pass .*config\.yaml"):
        load_recipe(str(folder / "run"))


@pytest.mark.parametrize("recipe", recipes.recipes(), ids=lambda recipe: recipe.name)
def test_every_shipped_recipe_is_valid(recipe: recipes.Recipe) -> None:
    assert recipe.summary, "the first line says in a comment what it is"
    folder = recipe.name.split("/")[0]
    if folder == "objectives":  # a method's published settings, for any domain
        config = configure("pretrain", recipes=[recipe.name], domain="multispectral")
        own, known = recipe.name.split("/")[1], {declared.name for declared in registry().objectives()}
        assert config.objective["name"] == own or own not in known  # a method made of others has a name of its own
        assert "domain" not in load_recipe(recipe.name).values
    else:
        config = configure("pretrain", recipes=[recipe.name])
        assert config.domain == folder
