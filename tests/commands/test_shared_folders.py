"""Nodes that do not share the folders through which they pass files are told so at the start of a run."""

import os
import socket

import pytest
from mmengine.config import Config

from mmgcvit.commands import shared_folders
from mmgcvit.commands.shared_folders import check_shared_folders, needed_folders
from mmgcvit.errors import UserError

from ..processes import answers_of

METRIC = {'type': 'CocoMetric'}
ON_GPU = {'type': 'Accuracy', 'collect_device': 'gpu'}


def config(evaluator=None, **settings):
    return Config({'work_dir': 'work', 'val_evaluator': evaluator, **settings})


@pytest.mark.parametrize(
    ('cfg', 'folders'),
    [
        (config(METRIC), ['.']),
        (config([ON_GPU, METRIC]), ['.']),
        (config(ON_GPU), []),
        (config({**METRIC, 'collect_dir': '/shared'}), []),
        (config(), []),
        (config(METRIC, resume=True), ['.', 'work']),
        (config(resume=True, load_from='a/checkpoint.pth'), []),
    ],
)
def test_what_must_be_shared_follows_from_the_config(cfg, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [os.path.relpath(folder) for folder, _ in needed_folders(cfg, ['val_evaluator'])]
    assert found == folders


def test_one_process_shares_with_nobody(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_shared_folders(config(METRIC), ['val_evaluator'])
    assert not list(tmp_path.iterdir())


def check(folder, settings):
    """What a process is told that is started in a folder."""
    os.chdir(folder)
    try:
        return check_shared_folders(Config(settings), ['val_evaluator'])
    except UserError as refusal:
        return str(refusal)


def check_in(folders, **settings):
    """The answers of two processes that are started in these folders."""
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return answers_of(check, [(folder, settings) for folder in folders])


class TestAnswers:
    """Who says what, with the other process's answers put in."""

    @pytest.fixture
    def group(self, monkeypatch):
        """Takes this process's rank, what process 0 has written, and what the other one answers."""

        def join(rank, written, answer):
            monkeypatch.setattr(shared_folders, 'get_world_size', lambda: 2)
            monkeypatch.setattr(shared_folders, 'get_rank', lambda: rank)
            monkeypatch.setattr(shared_folders, 'all_gather_object', lambda mine: [mine, answer])
            if rank:
                monkeypatch.setattr(
                    shared_folders, 'broadcast_object_list', lambda found: found.__setitem__(0, written)
                )
            else:
                monkeypatch.setattr(shared_folders, 'broadcast_object_list', lambda found: None)

        return join

    @pytest.fixture(autouse=True)
    def in_a_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_the_first_names_the_nodes_that_do_not_see_its_file(self, group, tmp_path):
        group(0, None, ('other', False))
        with pytest.raises(UserError, match=f'^other: {tmp_path} is not the folder that process 0 has there'):
            check_shared_folders(config(METRIC), ['val_evaluator'])
        assert not list(tmp_path.iterdir())

    def test_all_is_well_where_every_node_sees_it(self, group, tmp_path):
        group(0, None, ('other', True))
        check_shared_folders(config(METRIC), ['val_evaluator'])
        assert not list(tmp_path.iterdir())

    def test_another_looks_for_the_firsts_file(self, group, tmp_path):
        (tmp_path / 'there').touch()
        group(1, ('there', None), ('first', True))
        check_shared_folders(config(METRIC), ['val_evaluator'])
        group(1, ('elsewhere', None), ('first', True))
        with pytest.raises(UserError, match=f'^{socket.gethostname()}: '):
            check_shared_folders(config(METRIC), ['val_evaluator'])
        assert (tmp_path / 'there').exists(), 'the first removes it'

    def test_a_folder_that_the_first_cannot_write_is_named(self, group, tmp_path):
        (tmp_path / 'work').write_text('a file where a folder belongs')
        group(0, None, ('other', True))
        with pytest.raises(UserError, match=r'process 0 cannot write into .*/work \(\[Errno .*start in a folder where'):
            check_shared_folders(config(resume=True), [])


@pytest.mark.slow
class TestTwoProcesses:
    def test_a_common_folder_is_fine_and_left_as_it_was(self, tmp_path):
        folder = tmp_path / 'common'
        assert check_in([folder, folder], work_dir=str(folder), resume=True, val_evaluator=METRIC) == [None, None]
        assert not list(folder.iterdir())

    def test_folders_of_their_own_are_refused_in_both(self, tmp_path):
        answers = check_in([tmp_path / '0', tmp_path / '1'], work_dir=str(tmp_path), val_evaluator=METRIC)
        assert all(f'{socket.gethostname()}: {tmp_path}' in answer for answer in answers)
        assert all('collect their results for the metrics through the folder they are' in answer for answer in answers)

    def test_resuming_from_work_folders_of_their_own_is_refused_in_both(self, tmp_path):
        answers = check_in([tmp_path / '0', tmp_path / '1'], work_dir='work', resume=True)
        assert all('look there for the checkpoint to resume from' in answer for answer in answers)

    def test_a_folder_that_cannot_be_written_is_named_in_both(self, tmp_path):
        (tmp_path / 'work').write_text('a file where a folder belongs')
        answers = check_in([tmp_path, tmp_path], work_dir='work', resume=True)
        assert all(f'process 0 cannot write into {tmp_path}/work ([Errno' in answer for answer in answers)
