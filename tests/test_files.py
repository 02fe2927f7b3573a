"""Files are written atomically, and files of users and of other tools are kept."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from mmgcvit.errors import UserError
from mmgcvit.files import check_writable, create_numbered, make_absolute, write_atomically


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
