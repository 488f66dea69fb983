"""The closed grammar of setting types, so that settings are checked without importing the code they belong to.

`int`, `float`, `bool`, `str`, `None`, `Literal[...]` of strings and numbers, `list[T]`, `tuple[T, ...]`,
`tuple[T, U]`, `dict[str, T]`, and unions `T | U`. Bounds of a list or tuple hold for each of its elements.
"""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, create_model

from ssl_platform.config.settings import Setting
from ssl_platform.errors import PluginError

_SCALARS: dict[str, Any] = {"int": int, "float": float, "bool": bool, "str": str}
_NAMES = {value: key for key, value in _SCALARS.items()}
_CONTAINERS: dict[str, Any] = {"list": list, "tuple": tuple, "dict": dict}


def parse_type(text: str) -> Any:
    """The Python type a string of the grammar names.

    Raises:
        PluginError: the string is outside the grammar.
    """
    try:
        return _parse(ast.parse(text, mode="eval").body, text)
    except SyntaxError:
        raise PluginError(f"setting type {text!r} cannot be read") from None


def _parse(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name) and node.id in _SCALARS:
        return _SCALARS[node.id]
    if isinstance(node, ast.Constant) and node.value is None:
        return type(None)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[_parse(node.left, text), _parse(node.right, text)]  # noqa: UP007 - built at run time
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if node.value.id == "Literal":
            return Literal[tuple(ast.literal_eval(argument) for argument in arguments)]
        if node.value.id in _CONTAINERS:
            inner = tuple(... if _is_ellipsis(argument) else _parse(argument, text) for argument in arguments)
            return _CONTAINERS[node.value.id][inner]
    raise PluginError(f"setting type {text!r} is outside the grammar of ssl_platform.config.grammar")


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def type_text(annotation: Any) -> str:
    """The string of the grammar that names an annotation; the inverse of `parse_type`.

    Raises:
        PluginError: the annotation is outside the grammar.
    """
    if annotation in _NAMES:
        return _NAMES[annotation]
    if annotation is None or annotation is type(None):
        return "None"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(type_text(argument) for argument in arguments)
    if origin is Literal:
        return f"Literal[{', '.join(repr(argument) for argument in arguments)}]"
    if origin in _CONTAINERS.values():
        inner = ", ".join("..." if argument is ... else type_text(argument) for argument in arguments)
        return f"{origin.__name__}[{inner}]"
    raise PluginError(f"setting type {annotation!r} is outside the grammar of ssl_platform.config.grammar")


def settings_model(
    title: str, settings: Iterable[Setting], extra: Literal["forbid", "allow"] = "forbid"
) -> type[BaseModel]:
    """A pydantic model of some settings.

    Args:
        title: its name.
        settings: the fields.
        extra: whether further keys are refused or passed on.
    """
    fields: dict[str, Any] = {}
    for setting in settings:
        bounds: dict[str, Any] = dict(setting.bounds)
        annotation, whole = parse_type(setting.type), Field(**bounds)
        if typing.get_origin(annotation) in (list, tuple):
            annotation, whole = _each(annotation, whole), Field()
        described = Field(setting.default, description=setting.description)
        fields[setting.name] = (Annotated[annotation, whole], described)
    config = ConfigDict(extra=extra, protected_namespaces=(), validate_default=True, coerce_numbers_to_str=True)
    model: type[BaseModel] = create_model(title, __config__=config, **fields)
    return model


def settings_of(model: type[BaseModel], descriptions: dict[str, str] | None = None) -> tuple[Setting, ...]:
    """The settings a pydantic model declares, as plain records.

    Args:
        model: a config class whose fields all have defaults.
        descriptions: used for fields that carry none.

    Raises:
        PluginError: a field has no default or a type outside the grammar.
    """
    found = []
    for name, info in model.model_fields.items():
        if info.is_required():
            raise PluginError(f"{model.__qualname__}.{name} has no default")
        default = model.model_construct().model_dump(mode="json")[name]
        found.append(
            Setting(
                name=name,
                type=type_text(info.annotation),
                default=default,
                description=info.description or (descriptions or {}).get(name, ""),
                bounds=_bounds([*info.metadata, *_metadata(info.annotation)]),
            )
        )
    return tuple(found)


def _each(container: Any, limits: Any) -> Any:
    """A list or tuple type whose elements are held to `limits`."""
    inner = (a if a is ... else Annotated[a, limits] for a in typing.get_args(container))
    return typing.get_origin(container)[tuple(inner)]


def _metadata(annotation: Any) -> Iterator[Any]:
    """What is annotated to the elements of a list or tuple."""
    if typing.get_origin(annotation) in (list, tuple):
        for argument in typing.get_args(annotation):
            if typing.get_origin(argument) is Annotated:
                for note in typing.get_args(argument)[1:]:
                    yield from getattr(note, "metadata", (note,))


def _bounds(metadata: Iterable[Any]) -> dict[str, float]:
    return {
        bound: getattr(item, bound) for item in metadata for bound in ("ge", "gt", "le", "lt") if hasattr(item, bound)
    }
