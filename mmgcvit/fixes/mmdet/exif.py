"""Load photos with an EXIF rotation as they were annotated."""

from typing import Any

from mmcv.transforms import BaseTransform, LoadImageFromFile

from ...registry import TRANSFORMS


@TRANSFORMS.register_module()
class ApplyExifAsAnnotated(BaseTransform):
    """Ignore an image's EXIF rotation if its annotations were made without it.

    mmcv applies the EXIF rotation, but some tools annotate the pixels as stored. Then width and
    height are swapped, boxes are outside of the image, and clipping leaves boxes without area,
    whose losses are NaN. The transform detects such images by their swapped size. So it misses
    square images and rotations by 180 degrees. It follows ``LoadImageFromFile``, whose
    ``backend_args`` it needs, and changes ``img``, ``img_shape`` and ``ori_shape``. Remove this
    transform when mmdet compares an image's size with the annotated one.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None):
        self.load_unrotated = LoadImageFromFile(
            color_type='color_ignore_orientation', backend_args=backend_args
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        annotated_shape = results.get('height'), results.get('width')
        height, width = results['img'].shape[:2]
        if annotated_shape == (width, height) and width != height:
            unrotated = self.load_unrotated({'img_path': results['img_path']})
            if unrotated['img_shape'] == annotated_shape:
                results.update(unrotated, img=unrotated['img'].astype(results['img'].dtype))
        return results
