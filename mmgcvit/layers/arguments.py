"""Reading whole numbers among arguments, whichever integer type a config or a caller gives them in."""

import operator
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
