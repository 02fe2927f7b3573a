"""Files are written atomically, and files of users and of other tools are kept."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmgcvit.errors import UserError
from mmgcvit.files import (
    check_writable,
    create_numbered,
    write_atomically,
    write_image,
)


def test_write_atomically_replaces_a_file_or_leaves_it_unchanged(tmp_path):
    path = tmp_path / 'folder' / 'file'
    for flush in (True, False):
        with write_atomically(path, flush) as unfinished:
            unfinished.write_text(f'{flush}')
        assert path.read_text() == f'{flush}'

    def interrupt(error):
        with write_atomically(path) as unfinished:
            unfinished.write_text('half')
            raise error

    for error in (KeyboardInterrupt, OSError):
        with pytest.raises(error):
            interrupt(error)
        assert [child.name for child in path.parent.iterdir()] == ['file']
        assert path.read_text() == 'False'


def test_images_are_written_in_the_format_of_their_suffix(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    assert (cv2.imread(str(write_image(tmp_path / 'a.png', pixels))) == pixels).all()
    deep = pixels[..., 0].astype(np.uint16) * 257
    assert (cv2.imread(str(write_image(tmp_path / 'b.png', deep)), cv2.IMREAD_UNCHANGED) == deep).all()


def test_unwritable_folder_is_rejected_early(tmp_path):
    check_writable(tmp_path / 'new' / 'folder', '--out-dir')
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=rf'--out-dir cannot be written \({tmp_path}/file: Not a directory\)'):
        check_writable(tmp_path / 'file' / 'folder', '--out-dir')


@pytest.mark.parametrize('name', ['out', 'drawn.png'])
def test_commands_at_once_get_paths_of_their_own(name, tmp_path):
    """An empty folder, too, may be one that another command is about to write to."""
    create = Path.mkdir if name == 'out' else Path.touch
    with ThreadPoolExecutor(8) as pool:
        created = [*pool.map(lambda _: create_numbered(tmp_path / 'new' / name, create), range(40))]
    numbers = ['', *range(2, 41)]
    assert {path.name for path in created} == {
        name.replace('.', f'{n}.') if '.' in name else f'{name}{n}' for n in numbers
    }
