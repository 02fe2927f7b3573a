"""A photo with an EXIF rotation is loaded as it was annotated."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmgcvit.fixes import mmdet as mmdet_fixes


@pytest.mark.parametrize('orientation', [6, 8, 5, 1])
@pytest.mark.parametrize('annotated', [(60, 40), (40, 60), (61, 40), None])
def test_exif_rotation_is_applied_unless_annotations_have_the_stored_size(
    annotated, orientation, tmp_path
):
    pixels = np.zeros((40, 60, 3), np.uint8)
    exif = Image.Exif()
    path = tmp_path / 'x.png'
    pixels[:, :30], exif[0x0112] = 255, orientation
    Image.fromarray(pixels).save(path, exif=exif)
    sizes = dict(zip(('width', 'height'), annotated, strict=True)) if annotated else {}
    results = LoadImageFromFile().transform({'img_path': str(path), **sizes})
    results = mmdet_fixes.ApplyExifAsAnnotated().transform(results)
    is_stored = annotated == (60, 40) or orientation == 1
    assert np.array_equal(results['img'], pixels) == is_stored
    shape = (40, 60) if is_stored else (60, 40)
    assert results['img'].shape[:2] == results['img_shape'] == results['ori_shape'] == shape
