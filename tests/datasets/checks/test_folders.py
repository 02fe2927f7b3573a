"""Data sets that list folders, of classes or of labels per pixel: each fault is answered with the file's name."""

import numpy as np
from PIL import Image

from mmgcvit.datasets.checks import Outcome

from .made import (
    HEIGHT,
    NOT_DECODED,
    WIDTH,
    cut,
    expect_answers,
    look,
    pipe,
    pixels,
    refusal,
    write_ade20k,
    write_folders,
    write_image,
    write_labels,
)

# Folders, the classes that a config names, and what is said.
OTHER_NAMES = {
    'spaces': ((('blue', 'red_cat'), ('red cat', 'blue')), "'blue' would be called 'red cat'"),
    'numbers': ((('0', '1', '10', '2'), ('0', '1', '2', '10')), "'10' would be called '2'"),
    'one alike': ((('birds', 'cat', 'dog'), ('cat', 'dog', 'bird')), "'cat' would be called 'dog'"),
    'one more class': ((('cat', 'dog'), ('cat', 'dog', 'bird')), 'train: cannot be listed'),
}
LISTS = {
    'swapped': (['cat/a.jpg 1', 'dog/a.jpg 0'], "'cat' would be called 'dog'"),
    'a label too large': (['cat/a.jpg 0', 'dog/a.jpg 2'], 'dog/a.jpg has label 2'),
    'a label too small': (['cat/a.jpg 0', 'dog/a.jpg -1'], 'dog/a.jpg has label -1'),
    'a word': (['cat/a.jpg 0', 'dog/a.jpg one'], "invalid literal for int.* 'one'"),
    'no label': (['cat/a.jpg 0', 'dog/a.jpg'], 'cannot be listed'),
    'no such file': (['cat/a.jpg 0', 'dog/b.jpg 1'], 'dog/b.jpg'),
}
LABEL_FILES = NOT_DECODED | {
    'cut': (cut, 'cannot be read'),
    'text': (lambda path: path.write_text('Hello'), 'cannot be read .*no image'),
    'colours': (lambda path: Image.fromarray(pixels()).save(path), r'no single channel .*\(RGB\)'),
    'another size': (lambda path: write_labels(path, np.ones((5, 6))), 'is 6 x 5, not 40 x 30'),
    'a label too large': (lambda path: write_labels(path, np.full((HEIGHT, WIDTH), 3)), 'beyond the classes .*has 3'),
}


def listed(root, lines):
    settings = write_folders(root)
    (root / 'train.txt').write_text('\n'.join(lines))
    return settings | {'ann_file': 'train.txt', 'metainfo': {'classes': ('cat', 'dog')}}


def test_labels_are_numbers_of_sorted_folders_and_names_must_be_in_that_order(tmp_path):
    def named(root, names):
        return write_folders(root, names[0]) | {'metainfo': {'classes': names[1]}}

    expect_answers(OTHER_NAMES, named, tmp_path, 'train: ')
    for number, classes in enumerate((None, ('cat', 'dog'), ('Cat', 'DOG'))):
        settings = write_folders(tmp_path / f'right {number}') | ({'metainfo': {'classes': classes}} if classes else {})
        report = look(settings)
        assert not report.found
        assert not report.notes
    report = look(named(tmp_path / 'codes', (('n01', 'n02'), ('tench', 'goldfish'))))
    assert not report.found
    assert "'n01' 'tench', 'n02' 'goldfish'" in report.notes[0]


def test_lists_of_labelled_images_are_compared_with_classes_and_folders(tmp_path):
    expect_answers(LISTS, listed, tmp_path, 'train.txt: ')
    assert not look(listed(tmp_path / 'right', ['cat/a.jpg 0', 'dog/a.jpg 1'])).found


def test_imagenet_v2_is_asked_for_its_own_folders(tmp_path):
    for name in ('0', '10'):
        write_image(tmp_path / name / 'a.jpg')
    settings = {'type': 'mmgcvit.ImageNetV2', 'data_root': str(tmp_path), 'split': '', 'pipeline': []}
    assert "doesn't match the number of specified classes" in refusal(settings)


def test_damaged_images_are_named(tmp_path):
    settings = write_folders(tmp_path)
    cut(tmp_path / 'train' / 'dog' / 'a.jpg')
    assert f'{tmp_path}/train/dog/a.jpg' in refusal(settings)


def test_images_that_are_not_listed_are_said_and_other_files_are_not(tmp_path):
    """Of other endings, beside the folders of classes, and pipes."""
    for number, name in enumerate(('cat/b.webp', 'b.jpg', 'cat/more/b.avif', 'cat/pipe.jpg')):

        def with_image(root, name):
            settings = write_folders(root)
            write_image(root / 'train' / name)
            if 'pipe' in name:
                pipe(root / 'train' / name)
            return settings

        folder = tmp_path / str(number)
        expect_answers({name: (name, 'does not list')}, with_image, folder, f'train/{name}', Outcome.LEFT_OUT)
    settings = write_folders(tmp_path / 'right')
    for name in ('cat/more/b.png', 'cat/.b.jpg', 'README.txt'):
        write_image(tmp_path / 'right' / 'train' / name, format='PNG')
    assert not look(settings).found


def test_label_files_that_stop_a_run_are_refused_by_name(tmp_path):
    def harmed(root, harm):
        settings = write_ade20k(root)
        harm(root / 'labels' / 'b.png')
        return settings

    expect_answers(LABEL_FILES, harmed, tmp_path, 'labels/b.png')
    settings = write_ade20k(tmp_path / 'image')
    cut(tmp_path / 'image' / 'images' / 'b.jpg')
    assert f'{tmp_path}/image/images/b.jpg' in refusal(settings)


def test_whole_pairs_give_no_complaint(tmp_path):
    """With pixels that are not labelled; with labels beside the images."""
    settings = write_ade20k(tmp_path)
    labels = np.full((HEIGHT, WIDTH), 255)
    labels[0] = 2
    write_labels(tmp_path / 'labels' / 'b.png', labels)
    assert not look(settings).found
    for path in (tmp_path / 'labels').iterdir():
        path.rename(tmp_path / 'images' / path.name)
    settings['data_prefix']['seg_map_path'] = 'images'
    assert not look(settings).found


def test_what_a_set_of_pairs_does_not_list_is_said(tmp_path):
    settings = write_ade20k(tmp_path)
    assert 'has 2' in refusal(settings | {'reduce_zero_label': False})
    assert f'{tmp_path}/images: no images; ' in refusal(settings | {'img_suffix': '.tif'})
    (tmp_path / 'images' / 'b.jpg').rename(tmp_path / 'images' / 'b.JPG')
    (sentence,) = look(settings).format_sentences(Outcome.LEFT_OUT)
    assert f'{tmp_path}/images/b.JPG' in sentence
