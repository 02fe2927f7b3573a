"""What is predicted is written beside nothing else: no input and no earlier result is overwritten, no names collide."""

import json
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmgcvit.datasets.classes import COCO_CATEGORIES
from mmgcvit.inference import Classification, Detections, Segmentation, UserError, outputs
from mmgcvit.inference.outputs import Outputs, json_entries, video_written
from mmgcvit.inference.results import categories_of, records_of

from .conftest import picture_of

PICTURE = picture_of(10, 12)
SEVERAL = ['photos/a/1.jpg', 'photos/b/1.jpg', 'photos/b/2.jpg']


@pytest.mark.parametrize(
    ('kind', 'ending', 'names'),
    [
        ('vis', None, dict(zip(SEVERAL, ['a/1.jpg', 'b/1.jpg', 'b/2.jpg'], strict=True))),
        ('vis', None, {'photos/a/1.jpg': '1.jpg', '/elsewhere/2.jpg': '2.jpg'}),
        ('vis', '.mp4', {'v.avi': 'v.avi.mp4', 'v.mp4': 'v.mp4'}),
        ('preds', '.jsonl', {'v.avi': 'v.avi.jsonl', 'v.mp4': 'v.mp4.jsonl'}),
        ('preds', '.jsonl', {'v.avi': 'v.jsonl', 'w.mp4': 'w.jsonl'}),
        ('vis', '.png', {'a.bmp': 'a.bmp.png', 'a.png': 'a.png', 'b.bmp': 'b.png'}),
        ('labels', '.png', {'a.jpg': 'a.jpg.png', 'a.PNG': 'a.PNG.png', 'a.png': 'a.png'}),
        ('labels', '.png', {'x/a.jpg': 'x/a.png', 'y/a.jpg': 'y/a.png'}),
        ('labels', '.png', {'1.jpg': '1.jpg.png', '1.png': '1.png', '1.tif': '1.tif.png', '1.tif.png': '2_1.tif.png'}),
    ],
)
def test_each_input_has_a_name_of_its_own(kind, ending, names, tmp_path):
    """Also where two want the same one."""
    place = Outputs(tmp_path, list(names)).place
    assert {path: str(place(kind, path, ending).relative_to(tmp_path / kind)) for path in names} == names
    place = Outputs(tmp_path, list(names)).place
    assert len({place(kind, path, ending) for path in reversed(names)}) == len(names)


def test_paths_that_go_up_stay_below_the_folder_and_off_the_inputs(tmp_path, monkeypatch):
    """Of ``../../a/x.jpg`` and ``a/x.jpg`` neither is drawn over."""
    here = tmp_path / 'w' / 'main'
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    sources = ['../../a/x.jpg', 'a/x.jpg']
    folder = Outputs(here / 'predictions', sources)
    places = [folder.place('vis', source) for source in sources]
    assert len({place.resolve() for place in places}) == 2
    assert all(place.resolve().is_relative_to(here / 'predictions') for place in places)


def test_pictures_are_written_whatever_their_names_are(tmp_path):
    """Unless the format cannot hold them: JPEG has sides up to 65,535 px, and for no pixels OpenCV has an exception."""
    for name in ('a.JPG', 'a.Jpeg', 'a.PNG', 'a.TIF', 'a.webp', 'a'):
        path = Outputs(tmp_path / name, [name]).write_picture(name, PICTURE)
        assert cv2.imread(str(path)).shape == PICTURE.shape
    for size in ((1, 70_000), (0, 5)):
        with pytest.raises(UserError, match=rf'cannot write {size[1]} x {size[0]} pixels as .*a\.jpg'):
            Outputs(tmp_path / 'out', ['a.jpg']).write_picture('a.jpg', np.zeros((*size, 3), np.uint8))


def test_label_maps_of_many_classes_have_sixteen_bits(tmp_path):
    folder = Outputs(tmp_path / 'out', ['1.jpg'])
    for labels in ([[0, 255]], [[0, 300]]):
        path = folder.write_label_map('1.jpg', np.array(labels, np.int32))
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tolist() == labels


def test_an_earlier_result_is_not_overwritten_unasked(tmp_path):
    """Other things in the folder are in nobody's way."""
    for name in ('predictions.json', 'images.json', 'vis/a.jpg', 'labels/a.png', 'preds/a.jsonl'):
        folder = tmp_path / name.replace('/', '_')
        (folder / 'vis').mkdir(parents=True)
        (folder / 'notes.txt').touch()
        Outputs(folder, ['photo.jpg'])
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text('earlier')
        with pytest.raises(UserError, match=r'holds what an earlier call has written .* replace it with --overwrite'):
            Outputs(folder, ['photo.jpg'])
        Outputs(folder, ['photo.jpg'], overwrite=True)
        assert (folder / name).read_text() == 'earlier'


def test_inputs_are_never_overwritten(tmp_path):
    """Not even where they are what an earlier call has drawn, by whichever name; nor what a link there leads to."""
    (tmp_path / 'out' / 'vis').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'out' / 'vis')
    (tmp_path / 'a.png').write_bytes(b'original')
    (tmp_path / 'out' / 'vis' / 'a.png').symlink_to(tmp_path / 'a.png')
    for name in ('out/vis/a.jpg', 'link/a.jpg', 'out/labels/../vis/a.jpg'):
        with pytest.raises(UserError, match='lies where an earlier call has written'):
            Outputs(tmp_path / 'out', [str(tmp_path / name)], overwrite=True)
    source = str(tmp_path / 'a.png')
    drawn = Outputs(tmp_path / 'out', [source], overwrite=True).write_picture(source, PICTURE)
    assert (tmp_path / 'a.png').read_bytes() == b'original'
    assert cv2.imread(str(drawn)).shape == PICTURE.shape


def test_a_folder_that_nothing_can_be_written_to_is_refused_at_once(tmp_path, monkeypatch):
    """Also to a user who may write everywhere, as in containers. Looking leaves nothing."""
    monkeypatch.chdir(tmp_path)
    Outputs(tmp_path / 'new' / 'out', [])
    Outputs(tmp_path, [])
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    for folder in ('/proc/x', '/proc', 'file', 'file/below', 'file/below/it'):
        with pytest.raises(UserError, match=f'^--out-dir {folder} cannot be written .*; name another place$'):
            Outputs(Path(folder), [])


def test_a_list_is_whole_also_where_the_call_ends_early(tmp_path):
    with suppress(KeyboardInterrupt), json_entries(tmp_path / 'a.json') as add:
        add({'a': 1})
        add({'ä': 'ö'})
        raise KeyboardInterrupt
    assert json.loads((tmp_path / 'a.json').read_text()) == [{'a': 1}, {'ä': 'ö'}]
    with pytest.raises(ValueError, match='not JSON compliant'), json_entries(tmp_path / 'b.json') as add:
        add({'score': float('nan')})
    assert json.loads((tmp_path / 'b.json').read_text()) == []
    with json_entries(tmp_path / 'c.jsonl') as add:
        add({'a': 1})
        add({'a': 2})
    assert (tmp_path / 'c.jsonl').read_text() == '{"a": 1}\n{"a": 2}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.json', 'b.json', 'c.jsonl']


def test_where_videos_cannot_be_written_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, 'CODEC', 'none')
    with pytest.raises(UserError, match='--no-save-vis'), video_written(tmp_path / 'a.mp4', 10.0) as add:
        add(PICTURE)
    assert not list(tmp_path.iterdir())


def test_objects_are_written_as_pycocotools_reads_them(tmp_path):
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 2:8, 3:9] = masks[1, :, 29] = True
    boxes = np.array([[3, 2, 9, 8], [29, 0, 30, 20]], np.float32)
    found = [boxes, np.array([0.9, 0.5], np.float32), np.array([1, 0]), ['dog', 'cat']]
    categories = categories_of('detection', ['cat', 'dog'])
    assert 'segmentation' not in records_of(Detections(*found), categories)[0]
    records = records_of(Detections(*found, masks), categories)
    records = [{'image_id': 7, 'file_name': 'a.jpg', **record} for record in records]
    (tmp_path / 'predictions.json').write_text(json.dumps(records))
    images = [{'id': 7, 'file_name': 'a.jpg', 'width': 30, 'height': 20}]
    (tmp_path / 'images.json').write_text(json.dumps({'images': images, 'categories': categories}))
    truth = COCO(tmp_path / 'images.json')
    read = truth.loadRes(str(tmp_path / 'predictions.json'))
    (dog,) = read.loadAnns(read.getAnnIds(catIds=truth.getCatIds(['dog'])))
    assert dog['bbox'] == [3, 2, 6, 6]
    assert dog['category_id'] == 2
    np.testing.assert_array_equal(read.annToMask(dog), masks[0])


def test_cocos_classes_have_cocos_ids():
    names = [category['name'] for category in COCO_CATEGORIES]
    categories = categories_of('detection', names)
    assert (categories[0]['id'], categories[79]) == (1, {'id': 90, 'name': 'toothbrush'})
    assert categories_of('segmentation', names)[0]['id'] == 0


def test_each_class_of_pixels_is_written_with_its_area():
    label_map = np.array([[0, 0, 2], [0, 2, 0]], np.int32)
    segments = Segmentation(label_map, np.array([0, 2]), ['sky', 'sea'], np.array([4, 2]))
    sky, sea = records_of(segments, categories_of('segmentation', ['sky', 'land', 'sea']))
    assert (sky['category_name'], sky['area'], sea['category_id'], sea['area']) == ('sky', 4, 2, 2)
    np.testing.assert_array_equal(coco_mask.decode(sea['segmentation']), label_map == 2)


def test_the_five_likeliest_classes_are_written():
    scores = np.array([0.1, 0.2, 0.05, 0.3, 0.15, 0.12, 0.08], np.float32)
    categories = categories_of('classification', list('abcdefg'))
    records = records_of(Classification(3, 'd', 0.3, scores), categories)
    assert [record['category_name'] for record in records] == list('dbefa')
    assert records[0] == {'category_id': 3, 'category_name': 'd', 'score': pytest.approx(0.3)}
