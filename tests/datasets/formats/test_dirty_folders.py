"""Folders of photos with the faults that real folders have: what cannot be used is left out and named."""

import re

import pytest
from PIL import Image

from mmgcvit.datasets.formats import read_folder
from mmgcvit.datasets.own_data import MINI, make_config
from mmgcvit.engine.setup import check_data, load_config
from mmgcvit.errors import UserError

from ...photos import FORMATS, make_photo, write_image
from ...tools.commands import call

NUM_PHOTOS = 60
# A photo for each fault, so that a folder may have all of them.
STEMS = [f'photo {number:02d}' for number in range(NUM_PHOTOS)]


def find(root, stem):
    return next(path for path in root.rglob(f'{stem}.*') if path.suffix.lower() in ('.jpg', '.jpeg'))


def truncate(root):
    path = find(root, STEMS[3])
    path.write_bytes(path.read_bytes()[:2000])
    return STEMS[3]


def write_no_image(root):
    find(root, STEMS[5]).write_text('<html>404</html>')
    return STEMS[5]


def remove_image(root):
    """A class folder or a folder of segmentation maps then has one image less, which is no fault."""
    find(root, STEMS[7]).unlink()
    return (
        '' if not list(root.glob('*.json')) + list(root.glob('*.yaml')) + list(root.glob('Annotations')) else STEMS[7]
    )


def add_image_without_annotations(root):
    """In a folder of a class it has an annotation: the class."""
    write_image(find(root, STEMS[0]).with_name('photo 99.jpg'), make_photo(99).image)
    return 'photo 99.jpg has no segmentation map' if list(root.glob('labels/*.png')) else ''


def rotate_by_exif(root):
    path = find(root, STEMS[9])
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to display
    with Image.open(path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def convert_to_cmyk(root):
    path = find(root, STEMS[11])
    with Image.open(path) as image:
        image.convert('CMYK').save(path)


def convert_to_grey(root):
    path = find(root, STEMS[13])
    with Image.open(path) as image:
        image.convert('L').save(path)


def add_odd_annotation(root):
    """An annotation out of the format, where the format has annotations of single objects."""
    if (root / 'labels' / f'{STEMS[15]}.txt').exists():
        with (root / 'labels' / f'{STEMS[15]}.txt').open('a') as file:
            file.write('0 0.5 oops\n')
        return f'{STEMS[15]}.txt line'
    if (root / 'Annotations').exists():
        path = root / 'Annotations' / f'{STEMS[15]}.xml'
        path.write_text(path.read_text().replace('</annotation>', '<object><name>cup</name></object></annotation>'))
        return f'{STEMS[15]}.xml: object'
    return ''


FAULTS = [
    *(truncate, write_no_image, remove_image, add_image_without_annotations, rotate_by_exif, convert_to_cmyk),
    *(convert_to_grey, add_odd_annotation),
]


@pytest.fixture(scope='module')
def photos():
    return [make_photo(number) for number in range(NUM_PHOTOS)]


def make_checked_config(root, work_dir):
    path, summary = make_config(read_folder(root), work_dir, size=MINI, epochs=1)
    cfg = load_config(str(path), {'data_checks': {'images': 1000}}, str(work_dir))
    check_data(cfg, ['train_dataloader', 'val_dataloader'])
    return summary


@pytest.mark.long
@pytest.mark.parametrize('fault', FAULTS)
@pytest.mark.parametrize('name', FORMATS)
def test_a_folder_with_a_fault_is_read_and_what_is_left_out_is_named(name, fault, photos, tmp_path):
    FORMATS[name](tmp_path / 'photos', photos)
    named = fault(tmp_path / 'photos')
    summary = make_checked_config(tmp_path / 'photos', tmp_path / 'work')
    if named:
        assert re.search(rf'1 problem in \d+ images\. .* are left out:\n  .*{re.escape(named)}', summary)
    else:
        assert 'left out' not in summary


@pytest.mark.parametrize('name', ['COCO', 'YOLO'])
def test_a_folder_with_too_many_unreadable_images_is_rejected(name, photos, tmp_path):
    FORMATS[name](tmp_path, photos[:10])
    truncate(tmp_path)
    write_no_image(tmp_path)
    message = r'(?s)2 problems in \d+ images\. No image of |at most a tenth .*:\n  .*photo 03'
    with pytest.raises(UserError, match=message):
        read_folder(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize('name', FORMATS)
def test_a_folder_with_all_faults_trains_is_scored_and_predicts(name, photos, tmp_path):
    FORMATS[name](tmp_path / 'photos', photos)
    for fault in FAULTS:
        fault(tmp_path / 'photos')
    output = call(
        '', '-m', 'mmgcvit', 'train', '--data', tmp_path / 'photos', '--epochs', 1, '--work-dir', tmp_path / 'run'
    )
    assert re.search(r'(bbox_mAP|mIoU|accuracy/top1): ', output)
    call(
        '',
        '-m',
        'mmgcvit',
        'predict',
        tmp_path / 'run',
        find(tmp_path / 'photos', STEMS[0]),
        '--out-dir',
        tmp_path / 'out',
    )
    assert list((tmp_path / 'out' / 'vis').glob('*.jpg'))
