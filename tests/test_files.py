"""Files and folders are there whole or not at all, and nothing is removed that another tool or a user has made."""

from contextlib import suppress

import cv2
import numpy as np
import pytest

from mmgcvit.errors import UserError
from mmgcvit.files import (
    atomic_folder,
    atomic_write,
    check_writable,
    find_free_path,
    is_up_to_date,
    write_image,
)


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    path = tmp_path / 'folder' / 'file'
    for flush in (True, False):
        with atomic_write(path, flush) as unfinished:
            unfinished.write_text(f'{flush}')
        assert path.read_text() == f'{flush}'

    def interrupted(error):
        with atomic_write(path) as unfinished:
            unfinished.write_text('half')
            raise error

    for error in (KeyboardInterrupt, OSError):
        with pytest.raises(error):
            interrupted(error)
        assert [each.name for each in path.parent.iterdir()] == ['file']
        assert path.read_text() == 'False'


def test_pictures_are_written_as_their_names_say(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    assert (cv2.imread(str(write_image(tmp_path / 'a.png', pixels))) == pixels).all()
    deep = pixels[..., 0].astype(np.uint16) * 257
    assert (cv2.imread(str(write_image(tmp_path / 'b.png', deep)), cv2.IMREAD_UNCHANGED) == deep).all()


def test_what_cannot_be_written_is_said_before_anything_is_computed(tmp_path):
    check_writable(tmp_path / 'new' / 'folder', '--out-dir')
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=rf'--out-dir cannot be written \({tmp_path}/file: Not a directory\)'):
        check_writable(tmp_path / 'file' / 'folder', '--out-dir')


def make(out):
    with atomic_folder(out, 'options.json', {'size': 3}) as folder:
        (folder / 'picture.jpg').touch()


def test_a_folder_is_up_to_date_with_the_options_that_made_it(tmp_path):
    for options, answer in (({'size': 3}, True), ({'size': 4}, False)):
        make(tmp_path / 'site')
        assert is_up_to_date(tmp_path / 'site', 'options.json', options) == answer
    (tmp_path / 'photos').mkdir()
    for empty in ('nothing', 'photos'):
        assert not is_up_to_date(tmp_path / empty, 'options.json', {})
    (tmp_path / 'photos' / 'a.jpg').touch()
    with pytest.raises(UserError, match='photos exists and was not written by this command'):
        is_up_to_date(tmp_path / 'photos', 'options.json', {})


def test_a_folder_that_is_interrupted_leaves_what_was_there(tmp_path):
    make(tmp_path / 'site')
    with suppress(OSError), atomic_folder(tmp_path / 'site', 'options.json', {}) as folder:
        (folder / 'more.jpg').touch()
        raise OSError
    assert [path.name for path in tmp_path.iterdir()] == ['site']
    assert (tmp_path / 'site' / 'picture.jpg').is_file()


def test_a_name_is_counted_up_until_nothing_is_there(tmp_path):
    for path, names in (('out', ('out', 'out2', 'out3')), ('drawn.png', ('drawn.png', 'drawn2.png', 'drawn3.png'))):
        for name in names:
            free = find_free_path(tmp_path / path)
            assert free == tmp_path / name
            free.mkdir()
            assert find_free_path(tmp_path / path) == free, 'an empty folder'
            (free / 'filled').touch()
