"""Check the arguments of backbones: numbers, windows, image sizes, ``arch``."""

import math
from collections.abc import Mapping, Sequence
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


def is_int(value: Any, minimum: int, maximum: float = math.inf) -> bool:
    """Return whether a value is an int (not a bool) from ``minimum`` to ``maximum``."""
    return type(value) is int and minimum <= value <= maximum


def is_sequence(value: Any) -> bool:
    """Return whether a value is a list, a tuple or another sequence, but not str or bytes."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def is_pair(value: Any, minimum: int, maximum: float = math.inf) -> bool:
    """Return whether a value is a pair of ints from ``minimum`` to ``maximum``."""
    is_two = is_sequence(value) and len(value) == 2
    return is_two and all(is_int(side, minimum, maximum) for side in value)


def check_int(name: str, value: Any, minimum: int) -> None:
    """Raise a ValueError if a value is not an int of at least ``minimum``."""
    require(name, value, is_int(value, minimum), f'an int of at least {minimum}')


def check_bool(name: str, value: Any) -> None:
    """Raise a ValueError if a value is not a bool."""
    require(name, value, isinstance(value, bool), 'True or False')


def check_ints(name: str, values: Any, length: int) -> None:
    """Raise a ValueError unless the values are a list of ``length`` ints >= 1."""
    is_valid = is_sequence(values) and len(values) == length
    is_valid = is_valid and all(is_int(value, 1) for value in values)
    require(name, values, is_valid, 'a list of ints of at least 1, one per stage')


def check_float(name: str, value: Any, minimum: float, upper_bound: float = math.inf) -> None:
    """Raise a ValueError if a value is not a number in [minimum, upper_bound)."""
    is_valid = isinstance(value, int | float) and minimum <= value < upper_bound
    require(name, value, is_valid, f'a number of at least {minimum} and less than {upper_bound}')


def make_pair(size: Any) -> tuple:
    """Return a pair as a tuple, and a single value twice."""
    return tuple(size) if is_sequence(size) else (size, size)


def resolve_img_size(img_size: ImageSize) -> Size:
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
    windows = [None if size is None else make_pair(size) for size in sizes]
    is_valid = len(windows) == num_stages
    for window in windows:
        is_valid = is_valid and (allow_none if window is None else is_pair(window, 1))
    expected = (
        f'an int of at least 1, or one int or pair (h, w) for each of the {num_stages} stages'
    )
    if allow_none:
        expected += '; None instead of an int is the whole map'
    require('window_size', window_size, is_valid, expected)
    return windows


def resolve_arch(arch: str | Mapping[str, Any], variants: Mapping[str, Arch]) -> Arch:
    """Return the published variant that ``arch`` names, or build a variant from a dict of its
    attributes.

    Raise a ValueError if the name is unknown, or the dict has missing keys, unknown keys or invalid
    values.
    """
    if isinstance(arch, Mapping):
        example = next(iter(variants.values()))
        try:
            return type(example)(**arch)
        except TypeError as error:  # a key is unknown or missing
            raise ValueError(f'arch: {error}; the keys are {list(vars(example))}') from None
    if arch not in variants:
        names = ', '.join(map(repr, variants))
        hint = suggest(str(arch), variants)
        raise ValueError(f'unknown arch {arch!r}; choose one of {names}, or give a dict{hint}')
    return variants[arch]
