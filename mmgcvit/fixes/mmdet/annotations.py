"""Load the masks of annotations without arrays of the size of the image."""

from typing import Any

from mmdet.datasets import transforms as mmdet

from ...ops.rle import EncodedMasks, encode_annotation
from ...registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadEncodedAnnotations(mmdet.LoadAnnotations):
    """mmdet's LoadAnnotations, whose ``gt_masks`` are RLE, for comparing with predictions.

    mmdet draws each mask in the size of the image, and copies them: 2.4 GB for 100 objects in an
    image of 12 megapixels. Transforms of masks do not know RLE, so no training has this class.
    Remove it when mmdet keeps annotations as they are.
    """

    def _load_masks(self, results: dict[str, Any]) -> None:
        """Set ``gt_masks`` to the masks of ``results['instances']``. Those that are not valid
        become ignored, as mmdet does.
        """
        size = results['ori_shape']
        masks = [encode_annotation(mask, size) for mask in self._process_masks(results)]
        results['gt_masks'] = EncodedMasks(masks, size)
