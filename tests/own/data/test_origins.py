"""Labels that a model made and nobody has corrected are recognised by what they say."""

import json
import shutil
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmgcvit.datasets.rules.objects import measure_mask
from mmgcvit.errors import UserError
from mmgcvit.host.files import compute_sha256
from mmgcvit.own.data import origins, written_labels
from mmgcvit.own.data.formats import read_folder, read_folders
from mmgcvit.own.data.rules import copies
from mmgcvit.own.training.hold_out import split_validation

from .labelled import (
    FORMATS,
    KINDS,
    OBJECT_FORMATS,
    OPTIONS,
    correct,
    export,
    write_labels,
)

NAMES = tuple(f'{word}.png' for word in ('apple', 'bench', 'chair', 'door', 'edge', 'fork'))


def list_corrected(folder, label_format, **options):
    """Return the stems of the pictures whose labels count as corrected, without tools' additions."""
    dataset = read_folder(folder, OPTIONS.get(label_format), pseudo_labels=True, **options)
    images = dataset.splits['train'].images
    return {
        Path(image.name).stem.rpartition('-')[2] for image in images if not image.is_uncorrected
    }


@pytest.mark.parametrize('label_format', FORMATS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_after_a_tools_export_the_corrected_pictures_count_and_no_others(label_format, data):
    """In each format, with boxes and masks, whatever tools do to ids, orders, digits and names."""
    corrected = data.draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(KINDS)))
    with_masks = label_format in OBJECT_FORMATS and data.draw(st.booleans())
    seed = data.draw(st.integers(0, 99))
    is_exported = data.draw(st.booleans()) or label_format in ('label-studio', 'labelme')
    with TemporaryDirectory() as name:
        folder = Path(name, 'labels')
        write_labels(folder, label_format, NAMES, seed=10 * seed, with_masks=with_masks)
        for picture, kind in corrected.items():
            correct(folder, label_format, picture, kind)
        if is_exported:
            export(folder, label_format, np.random.default_rng(seed))
        found = list_corrected(folder, label_format)
    assert found == {Path(picture).stem for picture in corrected}


@pytest.mark.parametrize('label_format', ['coco', 'maps', 'class folders'])
def test_uncorrected_pictures_are_left_out_and_never_held_out(label_format, tmp_path):
    folder = write_labels(tmp_path / 'labels', label_format, NAMES)
    task = OPTIONS.get(label_format)
    with pytest.raises(
        UserError, match=r'nobody has corrected .* 6 training images, which a model'
    ):
        read_folder(folder, task)
    pseudo = read_folder(folder, task, pseudo_labels=True)
    assert len(pseudo.splits['train'].images) == 6
    with pytest.raises(UserError, match='labels that a model made are never validation'):
        split_validation(pseudo)
    (folder / 'corrected.txt').write_text('apple.png\r\n\r\nbench.png\nchair.png\nedge.png\n')
    dataset = read_folder(folder, task)
    assert {Path(name).stem for name in dataset.splits['train'].image_names} == {
        'apple',
        'bench',
        'chair',
        'edge',
    }
    assert any('2 uncorrected, 4 corrected' in note for note in dataset.notes)
    pseudo = read_folder(folder, task, pseudo_labels=True)
    assert pseudo.splits['train'].num_uncorrected == 2
    if label_format != 'class folders':  # whose classes have too few images
        held_out = split_validation(pseudo)
        assert held_out.splits['val'].images
        assert held_out.splits['val'].num_uncorrected == 0


def test_uncorrected_pictures_are_in_no_given_validation_split(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES)
    file = folder / 'annotations/instances_train.json'
    content = json.loads(file.read_text())
    for split, first, end in (('train', 0, 3), ('val', 3, 6)):
        own = {**content, 'images': content['images'][first:end]}
        ids = [image['id'] for image in own['images']]
        own['annotations'] = [each for each in content['annotations'] if each['image_id'] in ids]
        (folder / f'annotations/instances_{split}.json').write_text(json.dumps(own))
        (folder / f'images/{split}').mkdir(exist_ok=True)
        for image in own['images'][: 3 * (split == 'val')]:
            picture = folder / 'images/train' / image['file_name']
            picture.rename(folder / 'images/val' / image['file_name'])
    assert read_folder(folder, pseudo_labels=True).splits.keys() == {'train'}
    (folder / 'corrected.txt').write_text('door.png\n')
    dataset = read_folder(folder, pseudo_labels=True)
    assert dataset.splits['val'].image_names == ['door.png']


def test_the_note_names_the_model_and_the_threshold(tmp_path):
    weights = tmp_path / 'best.pth'
    weights.write_bytes(b'weights')
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES, checkpoint=str(weights))
    (note,) = [
        note for note in read_folder(folder, pseudo_labels=True).notes if 'made_by.json' in note
    ]
    assert f'{weights} (SHA-256 9a129038d9a0...), confidence threshold 0.3' in note
    assert '6 uncorrected' in note


def test_pictures_that_a_tool_resized_and_encoded_anew_are_compared(tmp_path):
    """Roboflow's export: other names, sizes and formats."""
    folder = write_labels(tmp_path / 'labels', 'yolo', NAMES)
    correct(folder, 'yolo', 'door.png', 'move')
    for name in NAMES:
        stem = name.removesuffix('.png')
        picture = folder / 'images/train' / name
        made = f'{stem}_png.rf.{stem}0123456789abcdef'
        pixels = cv2.resize(cv2.imread(str(picture)), (64, 64))
        assert cv2.imwrite(str(folder / 'images/train' / f'{made}.jpg'), pixels)
        picture.unlink()
        (folder / 'labels/train' / f'{stem}.txt').rename(folder / 'labels/train' / f'{made}.txt')
    dataset = read_folder(folder, pseudo_labels=True)
    images = dataset.splits['train'].images
    assert [Path(image.name).name[:4] for image in images if not image.is_uncorrected] == ['door']


@pytest.mark.parametrize('form', ['NFC', 'NFD'])
def test_names_are_compared_in_one_unicode_form(form, tmp_path):
    other = 'NFD' if form == 'NFC' else 'NFC'
    names = [unicodedata.normalize(form, name) for name in ('Käfer.png', 'Öl.png', 'ü 1.png')]
    folder = write_labels(tmp_path / 'labels', 'yolo', names)
    for name in names:
        renamed = unicodedata.normalize(other, name)
        (folder / 'images/train' / name).rename(folder / 'images/train' / renamed)
        label = folder / 'labels/train' / f'{Path(name).stem}.txt'
        label.rename(label.with_name(f'{Path(renamed).stem}.txt'))
    (folder / 'corrected.txt').write_text(f'{names[0]}\n')
    assert len(list_corrected(folder, 'yolo')) == 1


def test_a_picture_with_an_exif_rotation_is_compared_as_it_is_shown(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES)
    for name in NAMES[:2]:
        picture = folder / 'images/train' / name
        with Image.open(picture) as image:
            exif = image.getexif()
            exif[0x0112] = 6
            rotated = image.transpose(Image.Transpose.ROTATE_90)
            picture.unlink()  # a hard link
            rotated.save(picture, exif=exif)
    assert list_corrected(folder, 'coco') == set()


def test_a_picture_that_the_mark_does_not_have_is_labelled_by_somebody(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'class folders', NAMES)
    added = folder / 'train/dog/added.png'
    pixels = cv2.imread(str(next((folder / 'train/dog').iterdir())))
    cv2.imwrite(str(added), 255 - pixels)
    dataset = read_folder(folder, pseudo_labels=True)
    assert list_corrected(folder, 'class folders') == {'added'}
    assert any('1 other image (added.png) counts as labelled' in note for note in dataset.notes)


def damage(folder):
    (folder / 'made_by.json').write_text('{"made_by": "mmgcvit 1.0"')


def write_other_mark(folder):
    (folder / 'made_by.json').write_text('{"made_by": "a tool", "labels": {}}')


def change_mark(change):
    """Return a change of a folder in which a mark of another content is written."""

    def change_folder(folder):
        mark = json.loads((folder / 'made_by.json').read_text())
        change(mark, mark['labels']['apple.png'][0], mark['pictures']['apple.png'])
        (folder / 'made_by.json').write_text(json.dumps(mark))

    return change_folder


# How a mark may be damaged, and what is said of it.
DAMAGES = [
    (lambda mark, label, picture: mark.pop('task'), 'task is None'),
    (lambda mark, label, picture: mark.update(task='pose'), "made_by is .*task 'pose'"),
    (lambda mark, label, picture: mark.update(made_by=7), 'made_by is 7'),
    (lambda mark, label, picture: mark.update(classes=['cat', 3]), r"classes is \['cat', 3\]"),
    (lambda mark, label, picture: mark.update(checkpoint=[]), r'checkpoint is \[\]'),
    (lambda mark, label, picture: mark.update(labels=[]), r'labels is \[\]'),
    (lambda mark, label, picture: mark.update(score_thr='0.5'), "score_thr is '0.5'"),
    (lambda mark, label, picture: mark.update(class_score_thr={'cat': None}), 'class_score_thr is'),
    (lambda mark, label, picture: mark['pictures'].pop('apple.png'), 'apple.png is None'),
    (lambda mark, label, picture: picture.pop('sha256'), 'sha256 is None'),
    (lambda mark, label, picture: picture.update(size=[80, 0]), r'size is \[80, 0\]'),
    (lambda mark, label, picture: picture.update(size=80), 'size is 80'),
    (lambda mark, label, picture: label.pop('bbox'), 'bbox is None'),
    (lambda mark, label, picture: label.update(bbox=[1, 2, 3]), r'bbox is \[1, 2, 3\]'),
    (lambda mark, label, picture: label.update({'class': None}), 'class is None'),
    (lambda mark, label, picture: label.update(segmentation=[[1]]), r'segmentation is \[\[1\]\]'),
    (lambda mark, label, picture: label.update(segmentation=[[]]), r'segmentation is \[\[\]\]'),
    (
        lambda mark, label, picture: label.update(segmentation=[[1, 2, 3, 4]]),
        r'segmentation is \[\[1, 2, 3, 4\]\]',
    ),
    (
        lambda mark, label, picture: label.update(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
        r'segmentation is \[\[1, 2, 3, 4, 5, 6, 7\]\]',
    ),
    (
        lambda mark, label, picture: mark['labels'].update({'apple.png': ['x']}),
        "'x' is not an object",
    ),
]


@pytest.mark.parametrize(('change', 'reason'), DAMAGES)
def test_a_damaged_mark_is_rejected_with_the_value_that_is_wrong(change, reason, tmp_path):
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES)
    change_mark(change)(folder)
    with pytest.raises(UserError, match=rf'made_by.json is damaged \({reason}.*\)\. Restore it'):
        read_folder(folder, pseudo_labels=True)


@pytest.mark.parametrize(('label_format', 'key'), [('maps', 'sha256'), ('class folders', 'class')])
def test_a_damaged_mark_of_another_task_is_rejected_too(label_format, key, tmp_path):
    folder = write_labels(tmp_path / 'labels', label_format, NAMES)
    change_mark(lambda mark, label, picture: label.update({key: 1}))(folder)
    with pytest.raises(UserError, match=rf'made_by.json is damaged \({key} is 1\)'):
        read_folder(folder, OPTIONS.get(label_format), pseudo_labels=True)


def empty_the_mark(folder):
    mark = json.loads((folder / 'made_by.json').read_text())
    (folder / 'made_by.json').write_text(json.dumps({**mark, 'labels': {}, 'pictures': {}}))


def name_an_unknown_picture(folder):
    (folder / 'corrected.txt').write_text('apple.png\naple.png\n')


def rename_the_classes(folder):
    file = folder / 'annotations/instances_train.json'
    text = file.read_text()
    for name in ('cat', 'dog', 'owl'):
        text = text.replace(f'"{name}"', f'"my {name}"')
    file.write_text(text)


def sort_by_class(folder):
    shutil.rmtree(folder / 'annotations')
    for index, picture in enumerate(sorted((folder / 'images/train').iterdir())):
        target = folder / 'train' / ['cat', 'dog'][index % 2] / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.rename(target)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (damage, r'made_by.json is damaged \(it is not JSON: .*\)\. Restore it'),
        (write_other_mark, 'made_by.json is damaged .*task is None.*Restore it'),
        (empty_the_mark, 'has none of the pictures that made_by.json names'),
        (name_an_unknown_picture, 'corrected.txt names aple.png, which made_by.json does not have'),
        (rename_the_classes, 'has none of the classes that made_by.json names'),
        (sort_by_class, 'labels for detection, and the folder is read as class folders'),
    ],
)
def test_labels_that_cannot_be_compared_are_rejected(change, message, tmp_path):
    """Otherwise the labels of a model would count as those of somebody."""
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES)
    change(folder)
    with pytest.raises(UserError, match=message):
        read_folder(folder, pseudo_labels=True)


def test_maps_of_another_size_are_rejected(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'maps', NAMES)
    for part in ('images', 'masks'):
        for file in (folder / part).iterdir():
            pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            file.unlink()
            cv2.imwrite(str(file), pixels[::2, ::2])
    with pytest.raises(UserError, match=r'40 x 30 pixels, .* 80 x 60 were written'):
        read_folder(folder, 'semantic', pseudo_labels=True)


def test_a_folder_of_labels_inside_another_one_is_rejected(tmp_path):
    write_labels(tmp_path / 'all/labels', 'class folders', NAMES)
    with pytest.raises(UserError, match=r'labels has made_by.json, .* Pass it itself'):
        read_folder(tmp_path / 'all')


def test_an_option_for_other_folders_is_rejected(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES)
    (folder / 'made_by.json').unlink()
    with pytest.raises(UserError, match='--pseudo-labels is for folders of predict --labels'):
        read_folder(folder, pseudo_labels=True)
    with pytest.raises(UserError, match='--similar-classes is for several folders'):
        read_folders([folder], similar_classes='merge')


def test_pictures_with_other_names_are_found_by_their_content(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'class folders', NAMES)
    for index, picture in enumerate(sorted((folder / 'train').glob('*/*'))):
        picture.rename(picture.with_name(f'{index}.png'))
    assert list_corrected(folder, 'class folders') == set()


def test_pictures_are_found_by_their_stem_in_other_letters_and_formats(tmp_path):
    """A tool on a disk that ignores case has encoded them anew."""
    folder = write_labels(
        tmp_path / 'labels', 'class folders', ['Apple.png', 'bench.png', 'CHAIR.png']
    )
    for picture in sorted((folder / 'train').glob('*/*')):
        pixels = cv2.imread(str(picture))
        cv2.imwrite(str(picture.with_name(f'{picture.stem.swapcase()}.JPG')), pixels)
        picture.unlink()
    assert list_corrected(folder, 'class folders') == set()


def test_a_line_of_corrected_pictures_may_have_a_path_and_any_characters(tmp_path):
    """Lines end only where those of a text file do: a name may have a Unicode line separator."""
    names = ['line\u2028separator.png', 'form\x0cfeed.png', *NAMES]
    folder = write_labels(tmp_path / 'labels', 'class folders', names)
    lines = [names[0], names[1], 'train/cat/apple.png']
    (folder / 'corrected.txt').write_text('\n'.join(lines))
    found = list_corrected(folder, 'class folders')
    assert found == {'line\u2028separator', 'form\x0cfeed', 'apple'}


@pytest.mark.parametrize(
    ('names', 'named'),
    [
        ({'checkpoint': 'a.pth', 'config': 'a.py'}, 'a.pth'),
        ({'checkpoint': None, 'config': 'a.py'}, 'a.py'),
        ({'checkpoint': None, 'config': None}, 'a model in memory'),
    ],
)
def test_a_model_is_named_by_its_checkpoint_or_its_config(names, named, tmp_path):
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES[:3])
    change_mark(lambda mark, *_: mark.update(names))(folder)
    notes = read_folder(folder, pseudo_labels=True).notes
    assert any(note.startswith(f'made_by.json: {named}, confidence') for note in notes)


def test_a_star_says_that_all_pictures_are_right(tmp_path):
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES)
    (folder / 'corrected.txt').write_text('*\n')
    dataset = read_folder(folder)
    assert len(dataset.splits['train'].images) == 6
    assert dataset.splits['train'].num_uncorrected == 0


def test_frames_beside_held_out_ones_are_left_out(tmp_path):
    """A video of which every second frame is corrected: no other frame of a held out part trains."""
    names = [f'clip_{number:03d}.png' for number in range(20)]
    folder = write_labels(tmp_path / 'labels', 'coco', names)
    (folder / 'corrected.txt').write_text('\n'.join(names[::2]))
    dataset = split_validation(read_folder(folder, pseudo_labels=True))
    val = [int(name[5:8]) for name in dataset.splits['val'].image_names]
    train = [int(name[5:8]) for name in dataset.splits['train'].image_names]
    uncorrected = [number for number in train if number % 2]
    assert len(val) == 2
    assert uncorrected
    assert all(abs(number - held_out) > 1 for number in uncorrected for held_out in val[1:-1])
    assert any('with uncorrected labels are left out of training' in note for note in dataset.notes)


def test_a_mask_is_measured_once_however_many_objects_a_picture_has(tmp_path, monkeypatch):
    """It takes longer than all comparisons."""
    folder = write_labels(tmp_path / 'labels', 'coco', NAMES, with_masks=True)
    measured = []

    def note(mask, size):
        measured.append(mask)
        return measure_mask(mask, size)

    monkeypatch.setattr(written_labels, 'measure_mask', note)
    dataset = read_folder(folder, pseudo_labels=True)
    train = dataset.splits['train']
    assert train.num_uncorrected == len(NAMES)
    assert len(measured) == train.num_annotations > len(NAMES)


def test_the_content_of_a_picture_is_read_once(tmp_path, monkeypatch):
    """A picture of an unknown name is looked for by its content, as copies of pictures are."""
    folder = write_labels(tmp_path / 'labels', 'class folders', NAMES)
    picture = next((folder / 'train/cat').iterdir())
    for name in ('one', 'two'):
        shutil.copyfile(picture, picture.with_name(f'{name}.png'))
    read = []

    def note(path):
        read.append(path)
        return compute_sha256(path)

    for module in (origins, copies):
        monkeypatch.setattr(module, 'compute_sha256', note)
    notes = '\n'.join(read_folder(folder, pseudo_labels=True).notes)
    assert 'images that a split has more than once' in notes
    assert sorted(path.name for path in read) == sorted({path.name for path in read})
    assert {'one.png', 'two.png'} <= {path.name for path in read}
