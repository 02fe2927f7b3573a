"""Images whose EXIF orientation is not that of their annotations."""

from typing import Any

import mmcv
from mmcv.transforms import BaseTransform
from mmengine import fileio

from ..registry import TRANSFORMS


@TRANSFORMS.register_module()
class MatchAnnotatedSize(BaseTransform):
    """Take an image as it is stored, unturned, where only so it has the size that its annotations give.

    Cameras store a turned image with a note (EXIF) of how to turn it back, which mmcv does. Some tools annotate the
    image as it is stored. Then width and height are the other way round, boxes lie outside of the image, and clipping
    leaves boxes without an area, of which losses are not finite. A square image, or one upside down, does not show.

    Changes ``img``, ``img_shape`` and ``ori_shape``; needs ``img_path``, and ``height`` and ``width`` of the
    annotations, without which it does nothing.

    Args:
        backend_args: As for ``LoadImageFromFile``, which comes before it.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        annotated, found = (results.get('height'), results.get('width')), results['img'].shape[:2]
        if found == annotated or found != annotated[::-1]:
            return results
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        stored = mmcv.imfrombytes(content, flag='color_ignore_orientation')
        if stored.shape[:2] == annotated:
            results['img'] = stored.astype(results['img'].dtype)
            results['img_shape'] = results['ori_shape'] = annotated
        return results
