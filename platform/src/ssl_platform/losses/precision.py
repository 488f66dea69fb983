"""Losses are computed in full precision whatever the run's precision is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")


def widen(x: Tensor) -> Tensor:
    """float16 and bfloat16 as float32; every other type as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _widen_argument(argument: Any) -> Any:
    """`widen` for tensors and for lists and tuples of tensors."""
    if isinstance(argument, Tensor):
        return widen(argument)
    if isinstance(argument, list | tuple):
        return [_widen_argument(item) for item in argument]
    return argument


def _device_of(arguments: tuple[Any, ...]) -> str:
    """Device type of the first tensor among positional arguments."""
    for argument in arguments:
        if isinstance(argument, Tensor):
            return argument.device.type
        if isinstance(argument, list | tuple) and argument:
            return _device_of(tuple(argument))
    return "cpu"


def full_precision(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a loss in at least float32: half inputs are widened and autocast is off inside.

    A similarity divided by a temperature of 0.07 needs more than the 8 bits of a bfloat16 product, and its exponential
    leaves the range of float16.
    """

    @functools.wraps(function)
    def in_full_precision(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        wide_args = [_widen_argument(argument) for argument in args]
        wide_kwargs = {name: _widen_argument(argument) for name, argument in kwargs.items()}
        with torch.autocast(device_type=_device_of((*args, *kwargs.values())), enabled=False):
            return function(*wide_args, **wide_kwargs)

    return in_full_precision
