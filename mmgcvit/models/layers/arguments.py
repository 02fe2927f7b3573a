"""Check the arguments of backbones: numbers, windows, image sizes, ``arch``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, TypeVar

from ...errors import suggest

MIN_IMAGE_SIZE = 32  # pixels, both sides
Size = tuple[int, int]  # (height, width)
Window = Size  # (h, w), in tokens
ImageSize = int | Size  # argument of backbones, in pixels
# Argument of backbones: an int for all stages, or a list with one int or pair (h, w) per stage. LSA
# also takes None.
WindowSize = int | Sequence[int | Window | None]
InitCfg = dict | list[dict] | None
Arch = TypeVar('Arch')


def require(name: str, value: Any, is_valid: bool, expected: str) -> None:
    """Raise a ValueError that names the argument, its value and the allowed values, unless
    ``is_valid``.
    """
    if not is_valid:
        raise ValueError(f'{name} is {value!r}; expected {expected}')


def is_int(value: Any, minimum: int) -> bool:
    """Return whether a value is an int (of Python or NumPy, not a bool) of at least ``minimum``."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= minimum


def is_sequence(value: Any) -> bool:
    """Return whether a value is a list, a tuple or another sequence, but not str or bytes."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def is_pair(value: Any, minimum: int) -> bool:
    """Return whether a value is a pair of ints of at least ``minimum``."""
    return is_sequence(value) and len(value) == 2 and all(is_int(side, minimum) for side in value)


def check_int(name: str, value: Any, minimum: int) -> int:
    """Return the value as a Python int; raise a ValueError if it is not an int of at least
    ``minimum``.
    """
    require(name, value, is_int(value, minimum), f'an int of at least {minimum}')
    return int(value)


def check_bool(name: str, value: Any) -> None:
    """Raise a ValueError if the value is not a bool."""
    require(name, value, isinstance(value, bool), 'True or False')


def check_ints(name: str, values: Any, length: int | None = None) -> tuple[int, ...]:
    """Return the values as a tuple; raise a ValueError unless they are ints >= 1 (``length`` of
    them, if set).
    """
    is_valid = is_sequence(values) and len(values) > 0 and all(is_int(value, 1) for value in values)
    expected = 'ints of at least 1, one per stage'
    if length is not None:
        is_valid = is_valid and len(values) == length
        expected = f'{length} {expected}'
    require(name, values, is_valid, expected)
    return tuple(map(int, values))


def check_float(name: str, value: Any, minimum: float, upper_bound: float = math.inf) -> float:
    """Return the value as a float; raise a ValueError if it is not a number in [minimum,
    upper_bound).
    """
    is_valid = isinstance(value, Real) and minimum <= value < upper_bound
    expected = f'a number of at least {minimum} and less than {upper_bound}'
    require(name, value, is_valid, expected)
    return float(value)


def make_pair(size: Any) -> tuple:
    """Return a pair as a tuple, and a single value twice."""
    return tuple(size) if is_sequence(size) else (size, size)


def check_img_size(img_size: ImageSize) -> Size:
    """Return ``pretrain_img_size``, an int or a pair, as (height, width); raise a ValueError if it
    is invalid.
    """
    size = make_pair(img_size)
    expected = f'at least {MIN_IMAGE_SIZE} px: an int or a pair (height, width)'
    require('pretrain_img_size', img_size, is_pair(size, MIN_IMAGE_SIZE), expected)
    return size


def resolve_windows(
    window_size: WindowSize | None, num_stages: int, allow_none: bool = False
) -> list[Window | None]:
    """Return the window (h, w) of each stage. ``window_size`` is an int for all stages, or a list
    with one int or pair (h, w) per stage.

    If ``allow_none`` is True, None may stand for an int: the whole feature map is one window.
    """
    sizes = window_size if is_sequence(window_size) else [window_size] * num_stages
    expected = (
        'an int of at least 1 for all stages, or a list with one int or pair (h, w) for each of '
        f'the {num_stages} stages'
    )
    if allow_none:
        expected = f'None (the whole map) or {expected}; the list may have None too'
    windows = [None if size is None else make_pair(size) for size in sizes]
    is_valid = len(windows) == num_stages
    for window in windows:
        is_valid = is_valid and (allow_none if window is None else is_pair(window, 1))
    require('window_size', window_size, is_valid, expected)
    return windows


def resolve_arch(arch: str | Mapping[str, Any], variants: Mapping[str, Arch]) -> Arch:
    """Return the published variant that ``arch`` names, or build a variant from a dict of its
    attributes.

    Raise a ValueError if the name is unknown, or the dict has missing keys, unknown keys or invalid
    values.
    """
    if isinstance(arch, str) and arch in variants:
        return variants[arch]
    if not isinstance(arch, Mapping):
        names = ', '.join(map(repr, variants))
        raise ValueError(
            f'unknown arch {arch!r}; choose one of {names}, or give a '
            f'dict{suggest(str(arch), variants)}'
        )
    variant_class = type(next(iter(variants.values())))
    try:
        return variant_class(**arch)
    except TypeError as error:  # a key is unknown or missing
        keys = [field.name for field in fields(variant_class)]
        raise ValueError(f'arch: {error}; the keys are {keys}') from None
