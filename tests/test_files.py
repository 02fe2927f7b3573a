"""Folders are replaced whole, and nothing is removed that another tool or a user has made."""

import pytest

from mmgcvit.errors import UserError
from mmgcvit.files import replaced_whole


def make(out):
    with replaced_whole(out, 'options.json', {'size': 3}) as folder:
        (folder / 'picture.jpg').touch()


def test_a_folder_of_the_name_of_an_unfinished_one_is_left_alone(tmp_path):
    own = tmp_path / 'site.unfinished'
    own.mkdir()
    (own / 'precious').touch()
    with pytest.raises(UserError, match=r'site\.unfinished exists and was not made by this tool'):
        make(tmp_path / 'site')
    assert (own / 'precious').is_file()


def test_what_an_interrupted_call_has_left_is_replaced(tmp_path):
    with pytest.raises(KeyboardInterrupt), replaced_whole(tmp_path / 'site', 'options.json', {}):
        raise KeyboardInterrupt
    left = tmp_path / 'site.unfinished'
    left.mkdir()
    (left / 'options.json.unfinished').touch()
    make(tmp_path / 'site')
    assert sorted(path.name for path in (tmp_path / 'site').iterdir()) == ['options.json', 'picture.jpg']
    assert not left.exists()


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='is the current folder'):
        make(type(tmp_path)('.'))
    assert list(tmp_path.iterdir()) == []
