"""What a run has noted about the folders of its data is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmgcvit.own.runs.started_data import (
    StartedFolder,
    format_started,
    read_started,
    write_started,
)

NAMES = st.text(st.characters(codec='utf-8', exclude_characters='\0'), min_size=1)
FOLDERS = st.lists(
    st.builds(StartedFolder, NAMES, NAMES, NAMES, st.none() | NAMES), min_size=1, max_size=3
)


def note(**entries):
    return Config({'work_dir': 'work_dirs/photos', 'started_with': {'size': 'mini', **entries}})


@given(FOLDERS)
def test_notes_are_read_as_they_were_written(folders):
    cfg = note(**format_started(folders))
    assert read_started(cfg) == folders
    write_started(cfg, folders[::-1])
    assert read_started(cfg) == folders[::-1]
    assert cfg.started_with.size == 'mini'


@pytest.mark.parametrize('cfg', [Config({}), note()])
def test_other_runs_have_noted_no_data(cfg):
    assert read_started(cfg) == []
