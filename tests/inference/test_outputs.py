"""What is predicted is written beside nothing else: no input and no earlier result is overwritten, no names collide."""

import json
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmgcvit.datasets.coco_categories import COCO_CATEGORIES
from mmgcvit.inference import Classification, Detections, Segmentation, UserError
from mmgcvit.inference.inputs import find_inputs
from mmgcvit.inference.outputs import JsonLines, JsonList, Outputs, write_whole
from mmgcvit.inference.records import categories_of, records_of

from .conftest import picture_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with some files."""
    monkeypatch.chdir(tmp_path)
    for name in (
        'a/1.jpg',
        'a/2.PNG',
        'a/3.mp4',
        'a/notes.txt',
        'a/.hidden.jpg',
        'b/1.jpg',
        'b/c/4.tif',
        'empty/x.txt',
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_gives_its_images_and_videos(folder):
    found = find_inputs(['a'])
    assert (found.images, found.videos, found.left_out) == (['a/1.jpg', 'a/2.PNG'], ['a/3.mp4'], ['a/notes.txt'])


def test_a_pattern_gives_what_it_hits(folder):
    assert find_inputs(['?/1.*']).images == ['a/1.jpg', 'b/1.jpg']
    assert find_inputs(['b/**/*']).images == ['b/1.jpg', 'b/c/4.tif']


def test_files_are_taken_as_they_are_named_and_each_once(folder):
    found = find_inputs(['b/1.jpg', 'a/1.jpg', './b/1.jpg', 'a/notes.txt', 'b', 'camera:2', 'camera:2'])
    assert found.images == ['b/1.jpg', 'a/1.jpg', 'a/notes.txt']
    assert found.cameras == [2]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder):
    (folder / 'photo[1].jpg').touch()
    assert find_inputs(['photo[1].jpg']).images == ['photo[1].jpg']


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('empty', r"empty: its only file is not an image .* name 'empty/\*\*/\*'"),
        ('nowhere/*.jpg', r'nowhere/\*\.jpg: no file is called so'),
        ('camera:abc', r'^camera:abc: cameras are camera:0, camera:1, \.\.\.$'),
        ('gone.jpg', r'^gone\.jpg: there is no such file or folder$'),
        ('empty/*', r'empty/\*: its only file is not an image or a video by its name$'),
    ],
)
def test_where_nothing_is_found_one_sentence_says_so(name, words, folder):
    with pytest.raises(UserError, match=words):
        find_inputs([name])


PICTURE = picture_of(10, 12)


def test_files_of_one_name_in_several_folders_do_not_meet(tmp_path):
    inputs = ['photos/a/1.jpg', 'photos/b/1.jpg', 'photos/b/2.jpg']
    outputs = Outputs(tmp_path / 'out', inputs)
    written = [outputs.write_picture(path, PICTURE) for path in inputs]
    assert [str(path.relative_to(tmp_path / 'out')) for path in written] == [
        'vis/a/1.jpg',
        'vis/b/1.jpg',
        'vis/b/2.jpg',
    ]


def test_files_keep_their_names_where_these_differ(tmp_path):
    outputs = Outputs(tmp_path / 'out', ['photos/a/1.jpg', '/elsewhere/2.tif'])
    written = [outputs.write_picture(path, PICTURE) for path in ('photos/a/1.jpg', '/elsewhere/2.tif')]
    assert [path.name for path in written] == ['1.jpg', '2.png']
    assert {path.parent for path in written} == {tmp_path / 'out' / 'vis'}


def test_label_maps_of_files_that_differ_in_their_endings_do_not_meet(tmp_path):
    inputs = ['1.jpg', '1.png', '1.tif', '1.png.png']
    outputs = Outputs(tmp_path / 'out', inputs)
    written = [outputs.write_label_map(path, np.zeros((2, 2), np.int32)) for path in inputs]
    assert len(set(written)) == len(inputs)


@pytest.mark.parametrize('turned', [False, True])
@pytest.mark.parametrize(
    ('kind', 'ending', 'names'),
    [
        ('vis', '.mp4', {'v.avi': 'v.avi.mp4', 'v.mp4': 'v.mp4'}),
        ('preds', '.jsonl', {'v.avi': 'v.avi.jsonl', 'v.mp4': 'v.mp4.jsonl'}),
        ('preds', '.jsonl', {'v.avi': 'v.jsonl', 'w.mp4': 'w.jsonl'}),
        ('vis', '.png', {'a.bmp': 'a.bmp.png', 'a.png': 'a.png', 'b.bmp': 'b.png'}),
        ('vis', '.png', {'a.bmp': '2_a.bmp.png', 'a.jpg': 'a.jpg.png', 'a.bmp.png': 'a.bmp.png'}),
        ('labels', '.png', {'a.jpg': 'a.jpg.png', 'a.PNG': 'a.PNG.png', 'a.png': 'a.png'}),
        ('labels', '.png', {'x/a.jpg': 'x/a.png', 'y/a.jpg': 'y/a.png'}),
    ],
)
def test_an_input_that_keeps_its_name_gets_it_whichever_comes_first(turned, kind, ending, names, tmp_path):
    inputs = sorted(names, reverse=turned)
    outputs = Outputs(tmp_path, inputs)
    assert {path: str(outputs.place(kind, path, ending).relative_to(tmp_path / kind)) for path in inputs} == names


@pytest.mark.parametrize('name', ['a.JPG', 'a.Jpeg', 'a.PNG', 'a.TIF', 'a.webp', 'a'])
def test_pictures_are_written_whatever_their_names_are(name, tmp_path):
    path = Outputs(tmp_path, [name]).write_picture(name, PICTURE)
    assert cv2.imread(str(path)).shape == PICTURE.shape


def test_a_picture_that_its_format_cannot_hold_is_named(tmp_path):
    """JPEG has sides up to 65,535 px."""
    outputs = Outputs(tmp_path, ['a.jpg'])
    with pytest.raises(UserError, match=r'cannot write 70000 x 1 pixels as .*a\.jpg'):
        outputs.write_picture('a.jpg', np.zeros((1, 70_000, 3), np.uint8))


def test_a_picture_without_pixels_is_named(tmp_path):
    """For it OpenCV has an exception."""
    with pytest.raises(UserError, match=r'cannot write 5 x 0 pixels as .*a\.jpg'):
        Outputs(tmp_path, ['a.jpg']).write_picture('a.jpg', np.zeros((0, 5, 3), np.uint8))


def test_label_maps_of_many_classes_have_sixteen_bits(tmp_path):
    outputs = Outputs(tmp_path / 'out', ['1.jpg'])
    for labels in ([[0, 255]], [[0, 300]]):
        path = outputs.write_label_map('1.jpg', np.array(labels, np.int32))
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tolist() == labels


@pytest.mark.parametrize('name', ['predictions.json', 'images.json', 'vis/a.jpg', 'labels/a.png', 'preds/a.jsonl'])
def test_an_earlier_result_is_not_overwritten_unasked(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('earlier')
    with pytest.raises(UserError, match=r'holds what an earlier call has written .* or replace it with --overwrite'):
        Outputs(tmp_path, ['photo.jpg'])
    Outputs(tmp_path, ['photo.jpg'], overwrite=True)
    assert (tmp_path / name).read_text() == 'earlier'


def test_a_folder_with_other_things_is_taken(tmp_path):
    (tmp_path / 'notes.txt').touch()
    (tmp_path / 'vis').mkdir()
    Outputs(tmp_path, ['photo.jpg'])


def test_inputs_are_never_overwritten(tmp_path):
    """Not even where they are what an earlier call has drawn, by whichever name."""
    (tmp_path / 'out' / 'vis').mkdir(parents=True)
    (tmp_path / 'out' / 'vis' / 'a.jpg').touch()
    (tmp_path / 'link').symlink_to(tmp_path / 'out' / 'vis')
    for name in ('out/vis/a.jpg', 'link/a.jpg', 'out/labels/../vis/a.jpg'):
        with pytest.raises(UserError, match='lies where an earlier call has written'):
            Outputs(tmp_path / 'out', [str(tmp_path / name)], overwrite=True)


def test_a_link_in_an_outputs_place_is_replaced_and_not_followed(tmp_path):
    (tmp_path / 'original').write_bytes(b'original')
    (tmp_path / 'drawn').symlink_to(tmp_path / 'original')
    write_whole(tmp_path / 'drawn', b'drawn')
    assert (tmp_path / 'original').read_bytes() == b'original'
    assert (tmp_path / 'drawn').read_bytes() == b'drawn'


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / 'out').touch()
    with pytest.raises(UserError, match='is a file; name a folder'):
        Outputs(tmp_path / 'out', [])


@pytest.mark.parametrize('folder', ['/proc/x', '/proc', 'file/below', 'file/below/it'])
def test_a_folder_that_nothing_can_be_written_to_is_refused_at_once(folder, tmp_path, monkeypatch):
    """Also to a user who may write everywhere, as in containers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=f'^--out-dir {folder} cannot be written .*; name another place$'):
        Outputs(Path(folder), [])


def test_looking_whether_a_folder_can_be_written_leaves_nothing(tmp_path):
    Outputs(tmp_path / 'new' / 'out', [])
    Outputs(tmp_path, [])
    assert not list(tmp_path.iterdir())


def test_a_list_is_whole_also_where_the_call_ends_early(tmp_path):
    with suppress(KeyboardInterrupt), JsonList(tmp_path / 'a.json') as file:
        file.add({'a': 1})
        file.add({'ä': 'ö'})
        raise KeyboardInterrupt
    assert json.loads((tmp_path / 'a.json').read_text()) == [{'a': 1}, {'ä': 'ö'}]
    with JsonList(tmp_path / 'b.json'):
        pass
    assert json.loads((tmp_path / 'b.json').read_text()) == []
    with JsonLines(tmp_path / 'c.jsonl') as file:
        file.add({'a': 1})
        file.add({'a': 2})
    assert (tmp_path / 'c.jsonl').read_text() == '{"a": 1}\n{"a": 2}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.json', 'b.json', 'c.jsonl']


def test_numbers_that_json_does_not_have_are_not_written(tmp_path):
    with pytest.raises(ValueError, match='not JSON compliant'), JsonList(tmp_path / 'a.json') as file:
        file.add({'score': float('nan')})


MASK = np.zeros((2, 20, 30), bool)
MASK[0, 2:8, 3:9] = True
MASK[1, :, 29] = True
FOUND = Detections(
    np.array([[3, 2, 9, 8], [29, 0, 30, 20]], np.float32),
    np.array([0.9, 0.5], np.float32),
    np.array([1, 0]),
    ['dog', 'cat'],
    MASK,
)


def test_objects_are_written_as_pycocotools_reads_them(tmp_path):
    categories = categories_of('detection', ['cat', 'dog'])
    records = [{'image_id': 7, 'file_name': 'a.jpg', **record} for record in records_of(FOUND, categories)]
    (tmp_path / 'predictions.json').write_text(json.dumps(records))
    images = [{'id': 7, 'file_name': 'a.jpg', 'width': 30, 'height': 20}]
    (tmp_path / 'images.json').write_text(json.dumps({'images': images, 'categories': categories}))
    truth = COCO(tmp_path / 'images.json')
    read = truth.loadRes(str(tmp_path / 'predictions.json'))
    (dog,) = read.loadAnns(read.getAnnIds(catIds=truth.getCatIds(['dog'])))
    assert dog['bbox'] == [3, 2, 6, 6]
    assert dog['category_id'] == 2
    np.testing.assert_array_equal(read.annToMask(dog), MASK[0])


def test_objects_without_masks_are_boxes():
    boxes = Detections(FOUND.boxes, FOUND.scores, FOUND.labels, FOUND.class_names)
    record = records_of(boxes, categories_of('detection', ['cat', 'dog']))[0]
    assert 'segmentation' not in record


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
    names = list('abcdefg')
    records = records_of(Classification(3, 'd', 0.3, scores), categories_of('classification', names))
    assert [record['category_name'] for record in records] == list('dbefa')
    assert records[0] == {'category_id': 3, 'category_name': 'd', 'score': pytest.approx(0.3)}


def test_paths_that_go_up_stay_below_the_folder_and_off_the_inputs(tmp_path, monkeypatch):
    """Of ``../../a/x.jpg`` and ``a/x.jpg`` neither is drawn over."""
    here = tmp_path / 'w' / 'main'
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    sources = ['../../a/x.jpg', 'a/x.jpg']
    outputs = Outputs(here / 'predictions', sources)
    places = [outputs.place('vis', source) for source in sources]
    assert len({place.resolve() for place in places}) == 2
    assert all(place.resolve().is_relative_to(here / 'predictions') for place in places)
