"""The objects that two runtimes find, side by side."""

from collections.abc import Mapping

import numpy as np

from ..inference import UserError

# Which of two boxes is kept may hang on the last digit of an overlap or a score, most often among those that are hardly
# anything. So objects that have this share of the sum of scores may be missing on a side; a graph that computes
# something else misses most.
MISSING = 0.02
# Objects are one where class, image and score agree and no side of the box is farther off than this share of the image.
CLOSE = 1e-3


def paired(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], size: tuple[int, int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The objects that are on both sides, in one order.

    Args:
        found: Outputs of a file, by their names.
        expected: Of the model.
        size: Height and width of the images.

    Raises:
        UserError: Objects that have more than a fiftieth of the sum of scores are on one side only.
    """
    ours, theirs = [], []
    left = list(range(len(found['scores'])))
    for number in range(len(expected['scores'])):
        match = next((other for other in left if is_same(found, other, expected, number, size)), None)
        if match is not None:
            left.remove(match)
            ours.append(match)
            theirs.append(number)
    sums = [float(side['scores'].sum()) for side in (found, expected)]
    paired_sums = [float(side['scores'][numbers].sum()) for side, numbers in ((found, ours), (expected, theirs))]
    if any(whole - there > MISSING * whole for whole, there in zip(sums, paired_sums, strict=True)):
        raise UserError(
            f'of {len(expected["scores"])} objects that the model finds in images of chance, and '
            f'{len(found["scores"])} that the file does, only {len(theirs)} are the same; nothing is kept (--no-check '
            'writes it all the same)'
        )
    return (
        {name: values[ours] for name, values in found.items()},
        {name: values[theirs] for name, values in expected.items()},
    )


def is_same(
    found: Mapping[str, np.ndarray],
    ours: int,
    expected: Mapping[str, np.ndarray],
    theirs: int,
    size: tuple[int, int],
) -> bool:
    """Whether an object of one side is one of the other."""
    return (
        found['image_indices'][ours] == expected['image_indices'][theirs]
        and found['labels'][ours] == expected['labels'][theirs]
        and abs(found['scores'][ours] - expected['scores'][theirs]) <= CLOSE
        and np.abs(found['boxes'][ours] - expected['boxes'][theirs]).max() <= CLOSE * max(size)
    )
