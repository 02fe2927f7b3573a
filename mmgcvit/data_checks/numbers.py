"""Numbers of annotations as arrays."""

import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_numbers(values: Sequence[Any], width: int) -> NDArray[np.float64]:
    """Rows of so many numbers as an array, (rows, width); NaN in every row that is something else.

    One row that is something else makes it slow: each is then looked at by itself.
    """
    try:
        array = np.array(values)
    except ValueError:
        array = np.empty(0)
    if array.dtype.kind in 'iuf' and array.size == len(values) * width:
        return array.reshape(len(values), width).astype(np.float64)
    rows = [row if width > 1 else [row] for row in values]
    nothing = [np.nan] * width
    return np.array([row if is_row(row, width) else nothing for row in rows], dtype=np.float64).reshape(-1, width)


def is_row(row: Any, width: int) -> bool:
    """Whether something is a list of so many numbers."""
    return isinstance(row, list) and len(row) == width and all(is_number(value) for value in row)


def is_number(value: Any) -> bool:
    """Whether something is a number that fits into a float; truth values are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) < sys.float_info.max
