"""Check the arguments of backbones: ints, floats, windows, and ``arch``, a variant's name or its attributes."""

import math
import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from numbers import Real
from typing import Any, TypeVar

from torch import Tensor

from ...errors import suggest

Window = tuple[int, int]
WindowSize = int | Sequence[int | Window | None]
Arch = TypeVar('Arch')


def to_int(value: Any) -> int:
    """An int, NumPy's included; a TypeError for all else, True and False too."""
    if isinstance(value, bool):
        raise TypeError(f'{value!r} is not an int')
    return operator.index(value)


def to_ints(values: Any) -> tuple[int, ...]:
    """A sequence of ints as a tuple; a TypeError for all else, str and bytes too."""
    if isinstance(values, str | bytes):
        raise TypeError(f'{values!r} is not a sequence of ints')
    return tuple(to_int(value) for value in values)


def check_int(name: str, value: Any, least: int) -> int:
    """Return an argument as int, or reject it by its name: it must be at least ``least``."""
    expected = f'{name} is {value!r}; expected an int of at least {least}'
    try:
        number = to_int(value)
    except TypeError:
        raise TypeError(expected) from None
    if number < least:
        raise ValueError(expected)
    return number


def check_ints(name: str, values: Any, length: int | None = None) -> tuple[int, ...]:
    """Return an argument of one int of at least 1 per stage as a tuple, or reject it by its name."""
    expected = f'{name} is {values!r}; expected {length or ""}{" " if length else ""}ints of at least 1, one per stage'
    try:
        numbers = to_ints(values)
    except TypeError:
        raise TypeError(expected) from None
    if min(numbers, default=0) < 1 or len(numbers) != (length or len(numbers)):
        raise ValueError(expected)
    return numbers


def check_float(name: str, value: Any, least: float) -> float:
    """Return an argument as float, or reject it by its name: it must be at least ``least``."""
    expected = f'{name} is {value!r}; expected a number of at least {least}'
    if not isinstance(value, Real):
        raise TypeError(expected)
    if not value >= least:
        raise ValueError(expected)
    return float(value)


def check_drop_path_rate(drop_path_rate: float) -> float:
    """Return a drop path rate as float, or reject it."""
    if not isinstance(drop_path_rate, Real):
        raise TypeError(f'drop_path_rate is {drop_path_rate!r}; expected a number')
    if not 0 <= drop_path_rate < 1:
        raise ValueError(f'drop_path_rate is {drop_path_rate}; expected at least 0 and less than 1')
    return float(drop_path_rate)


def check_img_size(img_size: int | tuple[int, int]) -> tuple[int, int]:
    """Read ``pretrain_img_size``, pixels of one side or a pair (height, width), or reject it."""
    try:
        size = to_ints(img_size if isinstance(img_size, Sequence) else (img_size, img_size))
    except TypeError:
        size = ()
    if len(size) != 2:
        raise TypeError(f'pretrain_img_size is {img_size!r}; expected pixels, an int or a pair of ints')
    if min(size) < 32:
        raise ValueError(f'pretrain_img_size is {img_size!r}; expected at least 32 px on both sides')
    return size


def resolve_windows(
    window_size: WindowSize | None, num_stages: int, optional: bool = False
) -> tuple[Window | None, ...]:
    """Read a ``window_size`` argument: one window for all stages or one per stage, each a side or a pair (h, w).

    Where windows are ``optional``, None stands for the whole map.
    """
    allowed = (
        f'expected {"None (the whole map) or " if optional else ""}an int of at least 1, or '
        f'{num_stages} of them or of pairs (h, w), one per stage'
    )
    given = list(window_size) if is_sequence(window_size) else [window_size] * num_stages
    if len(given) != num_stages:
        raise ValueError(f'window_size is {window_size!r}, {len(given)} entries; {allowed}')
    windows = []
    for entry in given:
        if entry is None and optional:
            windows.append(None)
            continue
        try:
            window = to_ints(entry if is_sequence(entry) else (entry, entry))
        except TypeError as error:
            raise TypeError(f'window_size is {window_size!r}, and {error}; {allowed}') from None
        if len(window) != 2 or min(window) < 1:
            raise ValueError(f'window_size is {window_size!r}, with a window {window}; {allowed}')
        windows.append(window)
    return tuple(windows)


def is_sequence(value: object) -> bool:
    """Whether a value is a list, a tuple or the like, not text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def resolve_arch(arch: str | Mapping[str, Any], variants: Mapping[str, Arch]) -> Arch:
    """Return the variant of that name, or the one of their type that a dict of attributes describes.

    Raises:
        ValueError: The name is unknown, or the dict lacks a key, has one too many or holds impossible values.
        TypeError: ``arch`` is neither a name nor a dict.
    """
    if isinstance(arch, str):
        if arch not in variants:
            raise ValueError(
                f'unknown arch {arch!r}; choose one of {", ".join(map(repr, variants))}, or give a dict'
                f'{suggest(arch, variants)}'
            )
        return variants[arch]
    if not isinstance(arch, Mapping):
        raise TypeError(f'arch must be a name or a dict, not {type(arch).__name__}: {arch!r}')
    (variant_class,) = {type(variant) for variant in variants.values()}
    known = [each.name for each in fields(variant_class)]
    required = [each.name for each in fields(variant_class) if each.default is MISSING]
    unknown, missing = sorted(map(str, set(arch) - set(known))), [name for name in required if name not in arch]
    if unknown or missing:
        raise ValueError(f'arch: unknown keys {unknown}, missing keys {missing}; the keys are {known}')
    return variant_class(**arch)


def count_blocks(tensors: Iterable[str]) -> Counter[int]:
    """How many blocks weights of these names have in each stage."""
    blocks = {match.groups() for name in tensors if (match := re.match(r'stages\.(\d+)\.blocks\.(\d+)\.', name))}
    return Counter(int(stage) for stage, _ in blocks)


def side(tensors: Mapping[str, Tensor], name: str, dim: int) -> int:
    """The size of a dimension of one of the tensors, 0 where there is no such tensor or dimension."""
    try:
        return tensors[name].shape[dim]
    except (KeyError, IndexError):
        return 0


def mlp_ratio(tensors: Mapping[str, Tensor]) -> float:
    """Channels inside the first MLP as a multiple of the others; rounded up, as the product is rounded down again."""
    hidden_dims, embed_dims = (side(tensors, 'stages.0.blocks.0.mlp.fc1.weight', dim) for dim in (0, 1))
    return math.nextafter(hidden_dims / embed_dims, math.inf) if hidden_dims else 0.0
