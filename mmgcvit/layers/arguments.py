"""Reading numbers among arguments, whichever type a config or a caller gives them in."""

import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any


def whole_number(value: Any) -> int:
    """A whole number as ``int``, NumPy's integers included; True and False are none.

    Raises:
        TypeError: The value is no whole number.
    """
    if isinstance(value, bool):
        raise TypeError(f'{value!r} is no whole number')
    return operator.index(value)


def whole_numbers(values: Any) -> tuple[int, ...]:
    """A sequence of whole numbers as a tuple.

    Raises:
        TypeError: The value is no sequence (text and bytes count as none), or one of its items is no whole number.
    """
    if isinstance(values, str | bytes):
        raise TypeError(f'{values!r} is no sequence of whole numbers')
    return tuple(whole_number(value) for value in values)


def number(value: Any) -> float:
    """A number as float; text is none.

    Raises:
        TypeError: The value is no number.
    """
    if not isinstance(value, Real):
        raise TypeError(f'{value!r} is no number')
    return float(value)


def at_least(least: float, number: float) -> float:
    """The number, unless it is less.

    Raises:
        ValueError: It is.
    """
    if number < least:
        raise ValueError(f'{number} is less than {least}')
    return number


def check_drop_path_rate(drop_path_rate: float) -> float:
    """Return a drop path rate, or refuse it.

    Raises:
        ValueError: The rate is not in [0, 1).
        TypeError: The rate is no number.
    """
    if not isinstance(drop_path_rate, Real):
        raise TypeError(f'drop_path_rate is {drop_path_rate!r}; expected a number')
    if not 0 <= drop_path_rate < 1:
        raise ValueError(f'drop_path_rate is {drop_path_rate}; expected at least 0 and less than 1')
    return float(drop_path_rate)


def check_img_size(name: str, img_size: int | tuple[int, int], least: int = 32) -> tuple[int, int]:
    """Read an image size in pixels: one side, or a pair (height, width).

    Raises:
        ValueError: A side is below ``least``.
        TypeError: It is neither a whole number nor a pair of them.
    """
    sides = img_size if isinstance(img_size, Sequence) else (img_size,) * 2
    try:
        size = whole_numbers(sides)
    except TypeError:
        size = ()
    if len(size) != 2:
        raise TypeError(f'{name} is {img_size!r}; expected pixels, one whole number or a pair')
    if min(size) < least:
        raise ValueError(f'{name} is {img_size!r}; expected at least {least} px on both sides')
    return size
