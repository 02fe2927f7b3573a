"""Reading arguments, in any type that a config or a caller may use: numbers, windows, and a backbone's ``arch``.

An ``arch`` is the name of a published variant, or a dict of a variant's attributes; weights show which one they are of.
"""

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from numbers import Real
from typing import Any, TypeVar

from torch import Tensor

from ...errors import suggest

Window = tuple[int, int]
WindowSize = int | Sequence[int | Window | None]
VariantType = TypeVar('VariantType', bound='Variant')


def whole_number(value: Any) -> int:
    """A whole number as ``int``, NumPy's integers included; TypeError for all else, True and False too."""
    if isinstance(value, bool):
        raise TypeError(f'{value!r} is no whole number')
    return operator.index(value)


def whole_numbers(values: Any) -> tuple[int, ...]:
    """A sequence of whole numbers as a tuple; TypeError for all else, text and bytes too."""
    if isinstance(values, str | bytes):
        raise TypeError(f'{values!r} is no sequence of whole numbers')
    return tuple(whole_number(value) for value in values)


def number(value: Any) -> float:
    """A number as float; TypeError for all else, text too."""
    if not isinstance(value, Real):
        raise TypeError(f'{value!r} is no number')
    return float(value)


def check_drop_path_rate(drop_path_rate: float) -> float:
    """Return a drop path rate as float, or refuse it."""
    if not isinstance(drop_path_rate, Real):
        raise TypeError(f'drop_path_rate is {drop_path_rate!r}; expected a number')
    if not 0 <= drop_path_rate < 1:
        raise ValueError(f'drop_path_rate is {drop_path_rate}; expected at least 0 and less than 1')
    return float(drop_path_rate)


def check_img_size(img_size: int | tuple[int, int]) -> tuple[int, int]:
    """Read ``pretrain_img_size``, pixels of one side or a pair (height, width), or refuse it."""
    try:
        size = whole_numbers(img_size if isinstance(img_size, Sequence) else (img_size, img_size))
    except TypeError:
        size = ()
    if len(size) != 2:
        raise TypeError(f'pretrain_img_size is {img_size!r}; expected pixels, one whole number or a pair')
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
        f'expected {"None (the whole map) or " if optional else ""}a whole number of at least 1, or '
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
            window = whole_numbers(entry if is_sequence(entry) else (entry, entry))
        except TypeError as error:
            raise TypeError(f'window_size is {window_size!r}, and {error}; {allowed}') from None
        if len(window) != 2 or min(window) < 1:
            raise ValueError(f'window_size is {window_size!r}, with a window {window}; {allowed}')
        windows.append(window)
    return tuple(windows)


def is_sequence(value: object) -> bool:
    """Whether a value is a list, a tuple or the like, not text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


@dataclass(frozen=True)
class Variant:
    """Base of the frozen dataclasses that describe a backbone's variants. Their fields are made by :func:`attribute`.

    Raises:
        ValueError: An attribute is not what its field expects.
    """

    def __post_init__(self) -> None:
        for each in fields(self):
            given = getattr(self, each.name)
            if given is None and each.default is None:
                continue
            try:
                value = each.metadata['read'](given)
                is_allowed = each.metadata['holds'](value)
            except (TypeError, ValueError):
                is_allowed = False
            if not is_allowed:
                raise ValueError(f'arch: {each.name} is {given!r}; expected {each.metadata["expected"]}')
            object.__setattr__(self, each.name, value)

    @staticmethod
    def seen_in(tensors: Mapping[str, Tensor], num_stages: int | None = None) -> dict[str, Any]:
        """The ``arch`` of a network, or of its first stages, with these tensors; zeros stand for what is missing."""
        raise NotImplementedError

    @staticmethod
    def in_words(seen: Mapping[str, Any]) -> str:
        """What :meth:`seen_in` found, as far as weights tell it."""
        raise NotImplementedError


def attribute(
    expected: str, read: Callable[[Any], Any], holds: Callable[[Any], bool] = lambda value: True, **default: Any
) -> Any:
    """A field of a :class:`Variant`: ``read`` returns a value in its type or raises, and that must hold.

    ``expected`` says what is allowed. None is where it is the default.
    """
    return field(metadata={'expected': expected, 'read': read, 'holds': holds}, **default)


# Arguments of attribute().
NUMBER = 'a number', number
MLP_RATIO = 'a number of at least 0.1', number, lambda ratio: ratio >= 0.1


def at_least(least: int) -> tuple[str, Callable[[Any], int], Callable[[int], bool]]:
    """Arguments of :func:`attribute` for a whole number of at least that."""
    return f'a whole number of at least {least}', whole_number, lambda value: value >= least


def resolve_variant(arch: str | Mapping[str, Any], variants: Mapping[str, VariantType]) -> VariantType:
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
