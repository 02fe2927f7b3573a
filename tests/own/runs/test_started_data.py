"""What a run has noted about the folders of its data is read, also from earlier versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmgcvit.own.runs.started_data import (
    StartedFolder,
    format_started,
    read_first_name,
    read_started,
    write_started,
)

from ...earlier_notes import make_earlier_notes

NAMES = st.text(st.characters(codec='utf-8', exclude_characters='\0'), min_size=1)
FOLDERS = st.lists(
    st.builds(StartedFolder, NAMES, NAMES, NAMES, st.none() | NAMES), min_size=1, max_size=3
)


def note(**entries):
    return Config({'work_dir': 'work_dirs/photos', 'started_with': {'size': 'mini', **entries}})


@given(FOLDERS)
def test_notes_of_any_version_are_read_as_they_were_written(folders):
    today = format_started(folders)
    assert read_started(note(**today)) == folders
    earlier = note(**make_earlier_notes(today['data']))
    assert read_started(earlier) == folders
    write_started(earlier, folders)
    assert earlier.started_with == {'size': 'mini', **today}


def test_the_first_versions_noted_only_the_folder():
    (folder,) = read_started(note(data='../../photos'))
    assert folder == StartedFolder('../../photos', 'photos', image='')


@pytest.mark.parametrize('cfg', [Config({}), note()])
def test_other_runs_have_noted_no_data(cfg):
    assert read_started(cfg) == []


@pytest.mark.parametrize(
    ('name', 'text', 'first'),
    [
        ('a.json', '{"images": [{"file_name": "x/1 2.jpg"}, {"file_name": "b.jpg"}]}', 'x/1 2.jpg'),
        ('a.txt', 'x/1 2.jpg 3\nb.jpg 0\n', 'x/1 2.jpg'),
        ('a.txt', 'x/1 2.jpg\tx/1 2.png\nb.jpg\tb.png\n', 'x/1 2.jpg'),
    ],
)
def test_the_first_image_is_read_from_annotations_of_each_task(name, text, first, tmp_path):
    (tmp_path / name).write_text(text)
    assert read_first_name(tmp_path / name) == first
