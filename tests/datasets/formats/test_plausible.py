"""Objects that cannot be right are left out with a count or the dataset is rejected, for any format
and fault.

The same faults are found in a config's data.
"""

import json
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from mmgcvit.datasets.decoding import DecodingSettings, read_sizes
from mmgcvit.datasets.formats import read_folder
from mmgcvit.errors import UserError
from mmgcvit.inference.inputs import convert_to_array

from ..checks.made import check, config
from .made import HEIGHT, WIDTH, write_example
from .test_generated import QUICK
from .test_rules import rotate_only

# Values of the wrong type or size, for any key of a COCO file.
VALUES = st.sampled_from(
    [10**400, 1e308, float('nan'), -1, True, '1', None, [], {}, [[]], [[[1, 2]]], [[1, 2, 3, 4]]]
)
KEYS = [
    ('annotations', 'bbox'),
    ('annotations', 'area'),
    ('annotations', 'segmentation'),
    ('images', 'width'),
    ('images', 'height'),
]


@settings(QUICK, max_examples=60)
@given(st.sampled_from(KEYS), VALUES, st.booleans())
def test_values_of_any_type_are_faults_in_folders_and_in_configs(
    tmp_path_factory, key, value, is_first
):
    """A config's check finds a fault if ``read_folder`` finds one. Both say it in sentences."""
    root, (part, name) = tmp_path_factory.mktemp('data'), key
    write_example(root, 'coco')
    for path in root.rglob('*.json'):
        content = json.loads(path.read_text())
        for entry in content[part][: 1 if is_first else None]:
            entry[name] = value
        path.write_text(json.dumps(content))
    try:
        dataset = read_folder(root)
        has_masks = dataset.annotation_types[0] == 'masks'
        messages = [note for note in dataset.notes if 'so boxes are read' not in note]
    except UserError as error:
        has_masks, messages = True, [str(error)]
    assert len(''.join(messages)) < 5000
    loading = {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': has_masks}
    settings = {
        'type': 'CocoDataset',
        'metainfo': {'classes': ('disc', 'square')},
        'pipeline': [{'type': 'LoadImageFromFile'}, loading],
        'ann_file': f'{root}/annotations/train.json',
        'data_prefix': {'img': f'{root}/train'},
    }
    assert bool(messages) == bool(check(config(settings)).issues)


def write_rotated(orientation, kind):
    """Return an image with a rotation, which is written in one of several ways, as bytes."""
    pixels, exif, content = np.zeros((12, 16, 3), np.uint8), Image.Exif(), BytesIO()
    pixels[:6], pixels[:3, :5] = 255, 90
    exif[ExifTags.Base.Orientation] = orientation
    xmp = f'http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation="{orientation}"/>'.encode()
    options = {'exif': exif}
    if kind == 'PNG raw profile':
        info, data = PngImagePlugin.PngInfo(), exif.tobytes()
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
        rotate_only(path, None)
    dataset = read_folder(tmp_path)
    assert set(dataset.splits['train'].sizes) == {size}
    assert not any('are left out:' in note for note in dataset.notes)
