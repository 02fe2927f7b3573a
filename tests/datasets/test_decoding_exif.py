"""Images with an EXIF rotation are loaded upright, with their boxes, or rejected."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from mmgcvit.datasets.decoding import DecodingSettings
from mmgcvit.datasets.opening import read_sizes
from mmgcvit.datasets.rules.images import OTHER_SIZE, check_image
from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder
from mmgcvit.predict.inputs import convert_to_array

from ..own.data.formats.made import HEIGHT, WIDTH, mark_as_rotated, write_example


def write_rotated(orientation, kind):
    """Return an image with a rotation, which is written in one of several ways, as bytes."""
    pixels = np.zeros((12, 16, 3), np.uint8)
    exif = Image.Exif()
    content = BytesIO()
    pixels[:6], pixels[:3, :5] = 255, 90
    exif[ExifTags.Base.Orientation] = orientation
    xmp = f'http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation="{orientation}"/>'.encode()
    options = {'exif': exif}
    if kind == 'PNG raw profile':
        info = PngImagePlugin.PngInfo()
        data = exif.tobytes()
        info.add_text('Raw profile type exif', f'\nexif\n{len(data):8}\n{data.hex()}\n')
        options = {'pnginfo': info}
    elif kind == 'JPEG only XMP':
        options = {}
    Image.fromarray(pixels).save(content, kind.split()[0], **options)
    content = content.getvalue()
    segment = b'\xff\xe1' + (len(xmp) + 2).to_bytes(2, 'big') + xmp
    return content[:2] + segment + content[2:] if 'XMP' in kind else content


@pytest.mark.parametrize('orientation', range(1, 10))
@pytest.mark.parametrize(
    'kind',
    ['JPEG', 'PNG', 'TIFF', 'WEBP', 'AVIF', 'JPEG XMP first', 'JPEG only XMP', 'PNG raw profile'],
)
def test_a_path_and_a_pillow_image_are_rotated_alike_or_the_path_is_rejected(
    kind, orientation, tmp_path
):
    (path := tmp_path / 'a.jpg').write_bytes(write_rotated(orientation, kind))
    if not cv2.haveImageReader(str(path)):
        pytest.skip(f'OpenCV cannot read {kind} here')
    with Image.open(path) as image:
        expected = convert_to_array(image, DecodingSettings())
    if 1 < orientation < 9 and kind not in ('JPEG', 'PNG', 'TIFF'):
        with pytest.raises(UserError, match='EXIF rotation would be ignored'):
            convert_to_array(path, DecodingSettings())
        return
    loaded = convert_to_array(path, DecodingSettings())
    assert read_sizes(path).upright == loaded.shape[1::-1]
    assert np.abs(loaded.astype(int) - expected).max() < 60
    assert np.abs(loaded.astype(int) - expected).mean() < 5


@pytest.mark.parametrize(
    ('data_format', 'size'),
    [('coco', (WIDTH, HEIGHT)), ('voc', (WIDTH, HEIGHT)), ('yolo', (HEIGHT, WIDTH))],
)
def test_boxes_are_those_of_the_annotated_size_and_fractions_of_the_upright_photo(
    data_format, size, tmp_path
):
    """Where boxes of the stored photo do not fit, a rule says so."""
    write_example(tmp_path, data_format)
    for path in tmp_path.rglob('*.jpg'):
        mark_as_rotated(path)
    dataset = read_folder(tmp_path)
    assert set(dataset.splits['train'].sizes) == {size}
    assert not any('are left out:' in note for note in dataset.notes)


@pytest.mark.parametrize('annotated', ['stored', 'upright', 'other'])
@pytest.mark.parametrize('orientation', [1, 3, 5, 6])
@pytest.mark.parametrize(
    ('decoding', 'accepts_stored'),
    [
        (None, True),  # a folder, whose config gets the transform
        (DecodingSettings(), False),
        (DecodingSettings(matches_annotated_size=True), True),
    ],
)
def test_the_size_before_a_rotation_fits_only_a_pipeline_that_loads_it(
    decoding, accepts_stored, orientation, annotated, tmp_path
):
    """Otherwise, its boxes would be beside the objects. The size is that which training sees."""
    (path := tmp_path / 'a.jpg').write_bytes(write_rotated(orientation, 'JPEG'))
    sizes = {'stored': (16, 12), 'upright': (12, 16) if orientation >= 5 else (16, 12)}
    size = sizes.get(annotated, (16, 13))
    check = check_image(path, size, decoding)
    if size == sizes['upright'] or (size == sizes['stored'] and accepts_stored):
        assert (check.finding, check.size) == (None, size)
    else:
        assert (check.finding.rule, check.size) == (OTHER_SIZE, sizes['upright'])
