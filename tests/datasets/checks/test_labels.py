"""Labels per pixel, as in ADE20K: each fault is answered by a sentence with the file's name."""

import re

import numpy as np
import pytest
from PIL import Image

from mmgcvit.datasets.checks import Outcome

from .made import HEIGHT, WIDTH, cut, look, pipe, pixels, refusal, said, write_ade20k, write_bomb, write_labels

STOPPING = {
    'missing': (lambda path: path.unlink(), 'files that are missing'),
    'empty': (lambda path: path.write_bytes(b''), 'files of 0 bytes'),
    'pipe': (pipe, 'no regular files'),
    'cut': (cut, 'cannot be read'),
    'text': (lambda path: path.write_text('Hello'), 'cannot be read .*no image'),
    'bomb': (write_bomb, 'pixels by their headers'),
    'colours': (lambda path: Image.fromarray(pixels()).save(path), r'no single channel .*\(RGB\)'),
    'another size': (lambda path: write_labels(path, np.ones((5, 6))), 'is 6 x 5, not 40 x 30'),
    'a label too large': (lambda path: write_labels(path, np.full((HEIGHT, WIDTH), 3)), 'beyond the classes .*has 3'),
}


@pytest.mark.parametrize('name', STOPPING)
def test_what_stops_a_run_is_refused_by_name(name, tmp_path):
    harm, words = STOPPING[name]
    settings = write_ade20k(tmp_path)
    harm(tmp_path / 'labels' / 'b.png')
    sentence = refusal(settings)
    assert f'(1: {tmp_path}/labels/b.png' in sentence
    assert re.search(words, sentence), sentence


def test_images_are_looked_at_too(tmp_path):
    settings = write_ade20k(tmp_path)
    cut(tmp_path / 'images' / 'b.jpg')
    assert f'{tmp_path}/images/b.jpg' in refusal(settings)


def test_whole_pairs_give_no_complaint(tmp_path):
    settings = write_ade20k(tmp_path)
    labels = np.full((HEIGHT, WIDTH), 255)
    labels[0] = 2
    write_labels(tmp_path / 'labels' / 'b.png', labels)
    assert not look(settings).found


def test_images_of_another_ending_are_not_listed_and_said(tmp_path):
    settings = write_ade20k(tmp_path)
    (tmp_path / 'images' / 'b.jpg').rename(tmp_path / 'images' / 'b.JPG')
    assert f'{tmp_path}/images/b.JPG' in said(settings, Outcome.LEFT_OUT)


def test_labels_beside_their_images_are_no_problem(tmp_path):
    settings = write_ade20k(tmp_path)
    for path in (tmp_path / 'labels').iterdir():
        path.rename(tmp_path / 'images' / path.name)
    settings['data_prefix']['seg_map_path'] = 'images'
    assert not look(settings).found


def test_with_zero_as_a_class_the_last_label_is_one_less(tmp_path):
    settings = write_ade20k(tmp_path) | {'reduce_zero_label': False}
    assert 'has 2' in refusal(settings)


def test_without_images_the_folder_is_named(tmp_path):
    settings = write_ade20k(tmp_path) | {'img_suffix': '.tif'}
    assert refusal(settings).startswith(f'{tmp_path}/images: no images; ')
