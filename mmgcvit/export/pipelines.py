"""How a test pipeline resizes images, in numbers that travel in a file."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..inference import UserError

# Steps that load, say what is kept, or concern annotations: nothing of what they do is left to whoever runs the file.
OTHER_STEPS = (
    *('LoadImageFromFile', 'InferencerLoader', 'LoadAnnotations', 'MatchAnnotatedSize'),
    *('PackDetInputs', 'PackSegInputs', 'PackInputs'),
)


class Preparation(NamedTuple):
    """What is done to an image before it is normalised.

    Attributes:
        scale: Width and height to resize to.
        keep_ratio: Whether these are bounds, the longer of the longer side, or the size itself.
        edge: ``'short'``, ``'long'``, ``'width'`` or ``'height'`` where that side becomes ``scale[0]``; else ``''``.
        interpolation: As OpenCV's and Pillow's filters are called: ``'bilinear'``, ``'bicubic'``, ...
        backend: ``'cv2'`` or ``'pillow'``.
        crop: Width and height that are cut out of the middle afterwards; none where nothing is.
    """

    scale: tuple[int, int]
    keep_ratio: bool = False
    edge: str = ''
    interpolation: str = 'bilinear'
    backend: str = 'cv2'
    crop: tuple[int, int] | None = None


def preparation_of(steps: Sequence[Any]) -> Preparation:
    """What the steps of a test pipeline do.

    Raises:
        UserError: There is a step that has no place in a file, or none that resizes; says which.
    """
    found = None
    for step in steps:
        name = type(step).__name__
        if name in ('Resize', 'ResizeEdge') and found is None:
            found = resized_by(name, step)
        elif name == 'CenterCrop' and found is not None:
            # mmcv's is width and height, mmpretrain's height and width.
            width, height = step.crop_size if type(step).__module__.startswith('mmcv') else step.crop_size[::-1]
            found = found._replace(crop=(int(width), int(height)))
        elif name not in OTHER_STEPS:
            raise UserError(
                f'the test pipeline has the step {name}, which a file cannot describe; described are Resize or '
                'ResizeEdge, and CenterCrop behind it'
            )
    if found is None:
        raise UserError('the test pipeline has neither Resize nor ResizeEdge, by which sizes are known')
    return found


def resized_by(name: str, step: Any) -> Preparation:
    """What ``Resize`` or ``ResizeEdge`` does.

    Raises:
        UserError: By a factor, which depends on the image.
    """
    scale = getattr(step, 'scale', None)
    if scale is None:
        raise UserError('the test pipeline resizes by a factor (scale_factor), which no file can describe; use scale')
    options = {'interpolation': step.interpolation, 'backend': step.backend}
    if name == 'ResizeEdge':
        return Preparation((int(scale), int(scale)), True, step.edge, **options)
    width, height = scale
    return Preparation((int(width), int(height)), bool(step.keep_ratio), **options)
