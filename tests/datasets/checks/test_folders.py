"""Classification sets: labels are numbers of sorted folders, and names must be in that order."""

import pytest

from mmgcvit.datasets.checks import Outcome

from .made import config, cut, look, pipe, refusal, said, write_folders, write_image


def test_folders_without_named_classes_give_no_complaint(tmp_path):
    assert not look(write_folders(tmp_path)).found


@pytest.mark.parametrize('classes', [('cat', 'dog'), ('Cat', 'DOG')])
def test_classes_in_the_order_of_the_folders_give_no_complaint(classes, tmp_path):
    report = look(write_folders(tmp_path) | {'metainfo': {'classes': classes}})
    assert not report.found
    assert not report.notes


@pytest.mark.parametrize(
    ('folders', 'classes', 'words'),
    [
        (('blue', 'red_cat'), ('red cat', 'blue'), "'blue' would be called 'red cat'"),
        (('0', '1', '10', '2'), ('0', '1', '2', '10'), "'10' would be called '2'"),
        (('birds', 'cat', 'dog'), ('cat', 'dog', 'bird'), "'cat' would be called 'dog'"),
    ],
)
def test_swapped_names_are_refused(folders, classes, words, tmp_path):
    sentence = refusal(write_folders(tmp_path, folders) | {'metainfo': {'classes': classes}})
    assert sentence.startswith(f'{tmp_path}/train: ')
    assert words in sentence


def test_names_that_say_nothing_of_the_folders_are_shown(tmp_path):
    report = look(write_folders(tmp_path, ('n01', 'n02')) | {'metainfo': {'classes': ('tench', 'goldfish')}})
    assert not report.found
    assert "'n01' 'tench', 'n02' 'goldfish'" in report.notes[0]


def test_another_number_of_folders_is_refused_by_name(tmp_path):
    sentence = refusal(write_folders(tmp_path) | {'metainfo': {'classes': ('cat', 'dog', 'bird')}})
    assert sentence.startswith(f'{tmp_path}/train: cannot be listed')


class TestAnnotationFiles:
    @staticmethod
    def settings(root, lines):
        settings = write_folders(root)
        (root / 'train.txt').write_text('\n'.join(lines))
        return settings | {'ann_file': 'train.txt', 'metainfo': {'classes': ('cat', 'dog')}}

    def test_whole_ones_give_no_complaint(self, tmp_path):
        assert not look(self.settings(tmp_path, ['cat/a.jpg 0', 'dog/a.jpg 1'])).found

    @pytest.mark.parametrize(
        ('lines', 'words'),
        [
            (['cat/a.jpg 1', 'dog/a.jpg 0'], "'cat' would be called 'dog'"),
            (['cat/a.jpg 0', 'dog/a.jpg 2'], 'dog/a.jpg has label 2'),
            (['cat/a.jpg 0', 'dog/a.jpg -1'], 'dog/a.jpg has label -1'),
            (['cat/a.jpg 0', 'dog/a.jpg one'], "invalid literal for int.* 'one'"),
            (['cat/a.jpg 0', 'dog/a.jpg'], 'cannot be listed'),
            (['cat/a.jpg 0', 'dog/b.jpg 1'], 'dog/b.jpg'),
        ],
    )
    def test_faulty_ones_are_refused_by_name(self, lines, words, tmp_path):
        sentence = refusal(self.settings(tmp_path, lines))
        assert sentence.startswith(f'{tmp_path}/train.txt: ')
        assert words.split('.*')[-1] in sentence


def test_damaged_images_are_named(tmp_path):
    settings = write_folders(tmp_path)
    cut(tmp_path / 'train' / 'dog' / 'a.jpg')
    assert f'{tmp_path}/train/dog/a.jpg' in refusal(settings)


@pytest.mark.parametrize('name', ['cat/b.webp', 'b.jpg', 'cat/more/b.avif'])
def test_images_that_are_not_listed_are_said(name, tmp_path):
    settings = write_folders(tmp_path)
    write_image(tmp_path / 'train' / name)
    assert f'{tmp_path}/train/{name}' in said(settings, Outcome.LEFT_OUT)


def test_pipes_are_not_listed_and_said(tmp_path):
    settings = write_folders(tmp_path)
    write_image(tmp_path / 'train' / 'cat' / 'b.jpg')
    pipe(tmp_path / 'train' / 'cat' / 'b.jpg')
    assert f'{tmp_path}/train/cat/b.jpg' in said(settings, Outcome.LEFT_OUT)


@pytest.mark.parametrize('name', ['cat/more/b.png', 'cat/.b.jpg', 'README.txt'])
def test_other_files_and_images_in_deeper_folders_are_no_problem(name, tmp_path):
    settings = write_folders(tmp_path)
    write_image(tmp_path / 'train' / name, format='PNG')
    assert not look(settings).found


def test_imagenet_v2_is_asked_for_its_own_folders(tmp_path):
    write_image(tmp_path / '0' / 'a.jpg')
    write_image(tmp_path / '10' / 'a.jpg')
    settings = {'type': 'mmgcvit.ImageNetV2', 'data_root': str(tmp_path), 'split': '', 'pipeline': []}
    sentence = refusal(settings)
    assert "doesn't match the number of specified classes" in sentence
    assert config(settings).default_scope == 'mmpretrain'
