"""COCO's run-length encoded masks, checked without decoding them.

COCO's code in C reads beyond the end of a string that is cut within a number: it gets none that has not been looked at.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Each character is 48 and six bits: five of a number, the lowest five first, and one that says that more follow.
FIRST_CHARACTER, BITS = 48, 5
MORE, SIGN, DATA = 0x20, 0x10, 0x1F
# Seven characters are more than the 32 bits that pycocotools counts in.
LONGEST_NUMBER = 7
MASKS_AT_ONCE = 20_000


def are_whole(masks: Sequence[Any], sizes: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Whether masks are of their images' sizes and their lengths add up to all pixels.

    Args:
        masks: Dicts as COCO has them: ``size`` (height, width), and ``counts`` as a list or a compressed string.
        sizes: The height and width of each mask's image.

    Returns:
        (masks,)
    """
    whole = np.zeros(len(masks), dtype=bool)
    compressed = []
    for number, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
        if not isinstance(mask, dict) or mask.get('size') != list(size):
            continue
        counts = mask.get('counts')
        if isinstance(counts, list):
            whole[number] = all(isinstance(n, Integral) and n >= 0 for n in counts) and sum(counts) == size[0] * size[1]
        elif isinstance(counts, str):
            compressed.append(number)
    for start in range(0, len(compressed), MASKS_AT_ONCE):
        part = compressed[start : start + MASKS_AT_ONCE]
        pixels = np.array([sizes[number][0] * sizes[number][1] for number in part])
        whole[part] = numbers_of_pixels([masks[number]['counts'] for number in part]) == pixels
    return whole


def numbers_of_pixels(strings: Sequence[str]) -> NDArray[np.int64]:
    """How many pixels compressed masks speak of; -1 for a string that is none.

    Written from the description of the format in COCO's ``maskApi.h``: from the fourth length on what is written is the
    difference to the length two before.

    Returns:
        (strings,)
    """
    whole = np.array([is_well_formed(string) for string in strings], dtype=bool)
    sums = np.full(len(strings), -1)
    if whole.any():
        kept = [string for string, is_whole in zip(strings, whole, strict=True) if is_whole]
        mask_of_number, numbers = written_numbers(kept)
        sums[whole] = sums_of_lengths(mask_of_number, numbers, len(kept))
    return sums


def is_well_formed(string: str) -> bool:
    """Whether a string has only the format's characters and ends with the end of a number."""
    if not string or not string.isascii():
        return False
    codes = np.frombuffer(string.encode(), dtype=np.uint8) - np.uint8(FIRST_CHARACTER)
    ends = np.flatnonzero((codes & MORE) == 0)
    if (codes > (MORE | DATA)).any() or not ends.size or ends[-1] != codes.size - 1:
        return False
    return np.diff(ends, prepend=-1).max() < LONGEST_NUMBER


def written_numbers(strings: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers that well-formed strings write, one string after the other.

    Returns:
        For each number that of its string, and the number itself.
    """
    codes = np.frombuffer(''.join(strings).encode(), dtype=np.uint8).astype(np.int64) - FIRST_CHARACTER
    ends = np.flatnonzero((codes & MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    places = np.arange(codes.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & DATA) << (BITS * places), starts)
    is_negative = (codes[ends] & SIGN) != 0
    numbers -= np.where(is_negative, np.int64(1) << (BITS * lengths), 0)
    string_of_code = np.repeat(np.arange(len(strings)), [len(string) for string in strings])
    return string_of_code[ends], numbers


def sums_of_lengths(mask_of_number: NDArray[np.int64], numbers: NDArray[np.int64], num_masks: int) -> NDArray[np.int64]:
    """The sum of each mask's lengths, (masks,); -1 for a mask that has a negative one.

    Lengths follow from differences along three chains in each mask: the first length by itself, those at odd places,
    and those at even places from the third on.
    """
    first = np.searchsorted(mask_of_number, np.arange(num_masks))
    place = np.arange(numbers.size) - first[mask_of_number]
    chain = 3 * mask_of_number + np.where(place == 0, 0, 2 - place % 2)
    order = np.argsort(chain, kind='stable')
    chain = chain[order]
    running = np.cumsum(numbers[order])
    begins = np.flatnonzero(np.diff(chain, prepend=-1))
    before = np.where(begins > 0, running[begins - 1], 0)
    lengths = running - np.repeat(before, np.diff(begins, append=chain.size))
    sums = np.bincount(mask_of_number[order], weights=lengths, minlength=num_masks).astype(np.int64)
    sums[mask_of_number[order[lengths < 0]]] = -1
    return sums
