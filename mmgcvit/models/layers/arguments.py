"""Reading arguments: numbers, rates, image sizes and window sizes, in any type that a config or a caller may use."""

import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

Window = tuple[int, int]
WindowSize = int | Sequence[int | Window]


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
    sides = img_size if isinstance(img_size, Sequence) else (img_size, img_size)
    try:
        size = whole_numbers(sides)
    except TypeError:
        size = ()
    if len(size) != 2:
        raise TypeError(f'{name} is {img_size!r}; expected pixels, one whole number or a pair')
    if min(size) < least:
        raise ValueError(f'{name} is {img_size!r}; expected at least {least} px on both sides')
    return size


def resolve_windows(window_size: WindowSize, num_stages: int) -> tuple[Window, ...]:
    """Read a ``window_size`` argument: one window for all stages or one per stage, each a side or a pair (h, w).

    Raises:
        ValueError: The wrong number of windows, or a side below 1.
        TypeError: Something else than whole numbers, or sequences of them.
    """
    allowed = f'expected a whole number of at least 1, or {num_stages} of them or of pairs (h, w), one per stage'
    return tuple(read_window(given, window_size, allowed) for given in per_stage(window_size, num_stages, allowed))


def resolve_optional_windows(window_size: WindowSize | None, num_stages: int) -> tuple[Window | None, ...]:
    """Read a ``window_size`` argument in which None stands for the whole map; otherwise as :func:`resolve_windows`."""
    allowed = (
        'expected None (the whole map) or a whole number of at least 1, or '
        f'{num_stages} of them or of pairs (h, w), one per stage'
    )
    return tuple(
        None if given is None else read_window(given, window_size, allowed)
        for given in per_stage(window_size, num_stages, allowed)
    )


def per_stage(window_size: object, num_stages: int, allowed: str) -> list:
    """What a ``window_size`` argument says of each stage."""
    given = list(window_size) if is_sequence(window_size) else [window_size] * num_stages
    if len(given) != num_stages:
        raise ValueError(f'window_size is {window_size!r}, {len(given)} entries; {allowed}')
    return given


def read_window(given: object, window_size: object, allowed: str) -> Window:
    """One stage's window (h, w), given as a side or a pair, or an error that says what is allowed."""
    try:
        window = whole_numbers(given if is_sequence(given) else (given, given))
    except TypeError as error:
        raise TypeError(f'window_size is {window_size!r}, and {error}; {allowed}') from None
    if len(window) != 2 or min(window) < 1:
        raise ValueError(f'window_size is {window_size!r}, with a window {window}; {allowed}')
    return window


def is_sequence(value: object) -> bool:
    """Whether a value is a list, a tuple or the like, not text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
