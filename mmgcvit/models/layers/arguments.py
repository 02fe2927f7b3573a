"""Check the arguments of backbones: numbers, windows, image sizes, ``arch``."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Literal, TypeVar, overload

from ...errors import suggest

MIN_IMAGE_SIZE = 32  # pixels, both sides
Size = tuple[int, int]  # (height, width)
Window = Size  # (h, w), in tokens
ImageSize = int | Size  # argument of backbones, in pixels
# Argument of backbones: an int for all stages, or a list with one int or pair (h, w) per stage. LSA
# also takes None.
WindowSize = int | Sequence[int | Window | None]
ArchAttributes = Mapping[str, Any]  # argument of backbones: an arch's attributes by name
InitCfg = dict[str, Any] | list[dict[str, Any]] | None
Variant = TypeVar('Variant')


def require(name: str, value: Any, is_valid: bool, expected: str) -> None:
    """Raise a ValueError that names the argument, its value and the allowed values, unless
    ``is_valid``.
    """
    if not is_valid:
        raise ValueError(f'{name} is {value!r}; expected {expected}')


def is_int(value: Any, minimum: float) -> bool:
    """Return whether a value is an int (not a bool) of at least ``minimum``."""
    return type(value) is int and value >= minimum


def is_sequence(value: Any) -> bool:
    """Return whether a value is a list, a tuple or a range."""
    return isinstance(value, list | tuple | range)


def are_ints(values: Any, length: int, minimum: float) -> bool:
    """Return whether values are a list of ``length`` ints of at least ``minimum``."""
    has_length = is_sequence(values) and len(values) == length
    return has_length and all(is_int(value, minimum) for value in values)


def check_ints(name: str, values: Any, length: int) -> None:
    """Raise a ValueError unless the values are a list of ``length`` ints >= 1."""
    is_valid = are_ints(values, length, 1)
    require(name, values, is_valid, f'a list of {length} ints of at least 1, one per stage')


def check_int(name: str, value: Any, minimum: int = 1) -> None:
    """Raise a ValueError unless the value is an int (not a bool) of at least ``minimum``."""
    require(name, value, is_int(value, minimum), f'an int of at least {minimum}')


def check_mlp_ratio(mlp_ratio: Any, stage_dims: Sequence[int]) -> None:
    """Raise a ValueError unless ``mlp_ratio`` is a number with which the MLPs of all stages have
    channels.
    """
    smallest = min(stage_dims)
    is_valid = is_finite_number(mlp_ratio) and smallest * mlp_ratio >= 1
    expected = f'a positive number that makes at least one channel of {smallest}'
    require('mlp_ratio', mlp_ratio, is_valid, expected)


def is_finite_number(value: Any) -> bool:
    """Return whether a value is an int or float, not a bool, infinity or NaN."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and isfinite(value)


def check_divisors(name: str, values: Sequence[int], dividends: Sequence[int]) -> None:
    """Raise a ValueError unless each value, of a stage, divides the dividend of that stage."""
    for i, value in enumerate(values):
        dividend = dividends[i]
        require(f'{name}[{i}]', value, dividend % value == 0, f'a divisor of {dividend}')


def make_pair(size: Any) -> tuple[Any, ...]:
    """Return a pair as a tuple, and a single value twice."""
    return tuple(size) if is_sequence(size) else (size, size)


def resolve_img_size(img_size: ImageSize, name: str = 'pretrain_img_size') -> Size:
    """Return an image size, an int or a pair, as (height, width); raise a ValueError if it is
    invalid. ``name`` is that of the argument.
    """
    size = make_pair(img_size)
    expected = f'at least {MIN_IMAGE_SIZE} px: an int or a pair (height, width)'
    require(name, img_size, are_ints(size, 2, MIN_IMAGE_SIZE), expected)
    return size


def check_drop_path_rate(rate: Any) -> None:
    """Raise a ValueError unless the rate is a number of at least 0 and less than 1."""
    is_valid = is_finite_number(rate) and 0 <= rate < 1
    require('drop_path_rate', rate, is_valid, 'a number of at least 0 and less than 1')


@overload
def resolve_windows(window_size: WindowSize | None, num_stages: int) -> list[Window]: ...


@overload
def resolve_windows(
    window_size: WindowSize | None, num_stages: int, allow_none: Literal[True]
) -> list[Window | None]: ...


def resolve_windows(
    window_size: WindowSize | None, num_stages: int, allow_none: bool = False
) -> Sequence[Window | None]:
    """Return the window (h, w) of each stage. ``window_size`` is an int for all stages, or a list
    with one int or pair (h, w) per stage.

    If ``allow_none``, None may stand for an int: the whole feature map is one window.
    """
    sizes: Any = window_size if is_sequence(window_size) else [window_size] * num_stages
    windows = [size if size is None else make_pair(size) for size in sizes]
    are_windows = all(
        allow_none if window is None else are_ints(window, 2, 1) for window in windows
    )
    expected = (
        f'an int of at least 1{" (or None)" if allow_none else ""}, or one such or a pair (h, w) '
        f'for each of the {num_stages} stages'
    )
    require('window_size', window_size, are_windows and len(windows) == num_stages, expected)
    return windows


def resolve_arch(
    arch: str | ArchAttributes, variants: Mapping[str, Variant], variant_class: type[Variant]
) -> Variant:
    """Return the published variant that ``arch`` names, or build a ``variant_class`` from a dict of
    its attributes.

    Raise a ValueError if the name is unknown or the dict has invalid values, or a TypeError for
    missing or unknown keys.
    """
    if isinstance(arch, Mapping):
        return variant_class(**arch)
    if not isinstance(arch, str) or arch not in variants:
        names = ', '.join(map(repr, variants))
        hint = suggest(str(arch), variants)
        raise ValueError(f'unknown arch {arch!r}; choose one of {names}, or give a dict{hint}')
    return variants[arch]
