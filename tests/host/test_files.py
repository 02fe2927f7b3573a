"""Files are written atomically, and files of users and of other tools are kept."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmgcvit.errors import UserError
from mmgcvit.host import files
from mmgcvit.host.files import (
    check_target,
    check_writable,
    create_numbered,
    fold_name,
    have_same_content,
    is_url,
    make_absolute,
    read_text,
    write_atomically,
    write_image,
)
from mmgcvit.own.judging.figures import write_figure
from mmgcvit.own.pictures.output_files import list_outputs


@pytest.mark.parametrize('error', [None, KeyboardInterrupt, OSError])
def test_write_atomically_replaces_a_file_or_leaves_it_unchanged(error, tmp_path):
    """Its name may be as long as file systems allow: 255 bytes."""
    path = tmp_path / 'folder' / ('\U0001f600' * 63)
    for flush, content in ((True, 'first'), (False, 'second')):
        with suppress(KeyboardInterrupt, OSError), write_atomically(path, flush) as unfinished:
            unfinished.write_text(content)
            if error and not flush:
                raise error
    assert [child.name for child in path.parent.iterdir()] == [path.name]
    assert path.read_text() == ('first' if error else 'second')


@pytest.mark.parametrize('flush', [True, False])
def test_a_content_is_on_disk_before_it_has_its_name(flush, tmp_path, monkeypatch):
    """Else a power failure could leave an empty file in the place of the one before."""
    path = tmp_path / 'file'
    path.write_text('before')
    seen = []
    monkeypatch.setattr(files.os, 'fsync', lambda _: seen.append(path.read_text()))
    with write_atomically(path, flush) as unfinished:
        unfinished.write_text('after')
    assert seen == ['before'] * flush
    assert path.read_text() == 'after'


def test_a_target_is_a_new_file_with_a_known_suffix_that_can_be_written(tmp_path):
    (tmp_path / 'folder.pkl').mkdir()
    (tmp_path / 'file.pkl').touch()
    check_target(tmp_path / 'new' / 'a.PKL', '.pkl')
    check_target(tmp_path / 'file.pkl', '.pkl', overwrite=True)
    for name, overwrite, message in (
        ('a.txt', True, r'a\.txt: expected a name that ends in \.pkl'),
        ('file.pkl', False, r'file\.pkl already exists'),
        ('folder.pkl', True, r'folder\.pkl already exists'),
        ('file.pkl/a.pkl', True, r'a\.pkl cannot be written'),
    ):
        with pytest.raises(UserError, match=message):
            check_target(tmp_path / name, '.pkl', overwrite=overwrite)


@pytest.mark.parametrize(
    ('names', 'outputs'),
    [
        (
            ['predictions.json', 'images.json', 'vis', 'cat'],
            ['predictions.json', 'images.json', 'vis'],
        ),
        (['vis', 'cat'], []),
        (['predictions.json', 'cat'], []),
        (['mistakes.json', 'worst', 'cat'], ['mistakes.json', 'worst']),
        (['worst', 'best'], []),
        (['suggestions.csv', 'suggestions.jpg', 'cat'], ['suggestions.csv', 'suggestions.jpg']),
        (['suggestions.csv', 'cat'], []),
        (['label_errors.csv', 'label_errors', 'cat'], ['label_errors.csv', 'label_errors']),
        (['label_errors', 'cat'], []),
        (['run/20261130_120000/vis_data', 'cat'], ['run']),
    ],
)
def test_outputs_are_known_by_what_lies_beside_them(names, outputs, tmp_path):
    """A class may be called as one of them."""
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    found = list_outputs(tmp_path, [path.name for path in tmp_path.iterdir()])
    assert sorted(found) == sorted(outputs)


def test_unfinished_predictions_are_outputs_in_their_folder_only(tmp_path):
    """A command that was killed has drawn pictures, and written no list."""
    for folder, expected in (('predictions', {'vis'}), ('predictions3', {'vis'}), ('mine', set())):
        (tmp_path / folder / 'vis').mkdir(parents=True)
        assert list_outputs(tmp_path / folder, ['vis']) == expected
    assert list_outputs(tmp_path / 'predictions', ['vis', 'cat']) == set()


def test_files_are_equal_by_their_bytes(tmp_path):
    """Copies have the time of the original."""
    for name, text in (('a', 'one'), ('b', 'two'), ('c', 'one')):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (0, 0))
    assert have_same_content(tmp_path / 'a', tmp_path / 'c')
    assert not have_same_content(tmp_path / 'a', tmp_path / 'b')
    assert have_same_content(tmp_path / 'none', tmp_path / '.' / 'none')
    assert not have_same_content(tmp_path / 'none', tmp_path / 'nothing')


def test_names_are_compared_as_disks_do():
    assert fold_name('\u00c4.jpg') == fold_name('a\u0308.JPG')
    assert fold_name('a.jpg') != fold_name('b.jpg')
    assert is_url('HTTPS://host/a.jpg')
    assert not is_url('file:///a.jpg')


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / 'names.txt').write_bytes('\ufeffcat\n'.encode())
    assert read_text(tmp_path / 'names.txt') == 'cat\n'
    (tmp_path / 'names.txt').write_bytes(b'\xe4')
    with pytest.raises(UserError, match=r'names\.txt is not valid UTF-8'):
        read_text(tmp_path / 'names.txt')


@pytest.mark.parametrize('suffix', ['.png', '.PDF'])
def test_names_in_figures_are_no_formulas(suffix, tmp_path):
    figure = Figure()
    figure.add_subplot(title=r'$\no{such}$ formula', xlabel='$5')
    write_figure(tmp_path / f'figure{suffix}', figure)
    with pytest.raises(UserError, match=r'expected a name that ends in \.png, \.pdf'):
        write_figure(tmp_path / 'figure.exe', figure)
    assert [path.name for path in tmp_path.iterdir()] == [f'figure{suffix}']


def test_parents_are_those_of_the_system_and_other_links_are_kept(tmp_path):
    (tmp_path / 'a' / 'b').mkdir(parents=True)
    (tmp_path / 'link').symlink_to('a/b')
    for names in itertools.product(('..', 'link', 'a', 'b'), repeat=4):
        path = make_absolute(tmp_path.joinpath(*names))
        assert path.resolve() == tmp_path.joinpath(*names).resolve()
        assert '..' not in path.parts
    assert make_absolute(tmp_path / 'a' / '..' / 'link') == tmp_path / 'link'


def test_unwritable_folder_is_rejected_early(tmp_path):
    check_writable(tmp_path / 'new' / 'folder', '--out-dir')
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    with pytest.raises(
        UserError, match=rf'--out-dir cannot be written \({tmp_path}/file: Not a directory\)'
    ):
        check_writable(tmp_path / 'file' / 'folder', '--out-dir')


@pytest.mark.parametrize(('name', 'create'), [('out{}', Path.mkdir), ('drawn{}.png', Path.touch)])
def test_commands_at_once_get_paths_of_their_own(name, create, tmp_path):
    """An empty folder, too, may be one that another command is about to write to."""
    with ThreadPoolExecutor(8) as pool:
        paths = [tmp_path / name.format('')] * 40
        created = list(pool.map(create_numbered, paths, [create] * 40))
    assert {path.name for path in created} == {
        name.format(number) for number in ['', *range(2, 41)]
    }


def test_a_picture_that_its_format_cannot_hold_is_rejected(tmp_path):
    picture = np.zeros((2, 20_000, 3), np.uint8)
    write_image(tmp_path / 'a.png', picture)
    with pytest.raises(UserError, match=r'\.webp does not support a picture of 20000 x 2 pixels'):
        write_image(tmp_path / 'a.webp', picture)
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']
