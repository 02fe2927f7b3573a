"""Where mmengine is to read checkpoints through this project's reading it gets data without orders."""

import os
import pickle
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmgcvit.checkpoints import CheckpointError, DamagedCheckpointError, save_whole
from mmgcvit.checkpoints.for_hosts import READ_HERE, OfARun, ReadAsDataHook, ReadingAsData, read_for_host

from .conftest import RunsACommand


def test_a_host_runs_no_code_from_a_file_whatever_its_name(tmp_path, monkeypatch):
    """Read twice by two readers, a file could be one thing to each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a:').mkdir()
    with ReadingAsData() as reading:
        for name in ('x.pth', 'a://x.pth'):
            (tmp_path / name).write_bytes(pickle.dumps(RunsACommand(tmp_path / 'ran'), protocol=2))
            with pytest.raises(CheckpointError):
                CheckpointLoader.load_checkpoint(name)
        for name in ('x.pth', 'https://somewhere/x.pth', 'timm://gcvit_tiny'):
            assert CheckpointLoader._get_checkpoint_loader(name) is reading
    assert not (tmp_path / 'ran').exists()


def test_a_hook_has_a_run_read_as_data_from_its_beginning_to_its_end():
    """In its own folder, and with what a command has been told to trust or has checked; the one after a run that raised
    leaves nothing of that one's."""
    hook, runner = ReadAsDataHook(), SimpleNamespace(work_dir='run')
    for told, around in (((), nullcontext()), ((['mine'], ['checked']), ReadingAsData('other', ['mine'], ['checked']))):
        with around:
            before = dict(CheckpointLoader._schemes)
            ReadAsDataHook().before_run(SimpleNamespace(work_dir='raised'))
            hook.before_run(runner)
            assert CheckpointLoader._schemes == before | dict.fromkeys(READ_HERE, OfARun('run', *told))
            hook.after_run(runner)
            assert before == CheckpointLoader._schemes


def test_a_host_gets_tensors_where_it_asks_for_them(tmp_path):
    file = str(tmp_path / 'x.pth')
    torch.save({'state_dict': {'a': torch.ones(1)}, 'optimizer': {'state': [(torch.ones(1),)]}}, file)
    for map_location, place in (
        *((None, 'cpu'), ('cpu', 'cpu'), ('meta', 'meta'), (torch.device('meta'), 'meta'), ({'cpu': 'meta'}, 'meta')),
        *(({'cuda:1': 'meta'}, 'cpu'), (lambda storage, place: storage, 'cpu'), (lambda storage, place: None, 'cpu')),
    ):
        content = ReadingAsData()(file, map_location)
        found = [content['state_dict']['a'].device.type, content['optimizer']['state'][0][0].device.type]
        assert found == [place, place], map_location


def test_only_the_file_that_is_trusted_may_run_code(tmp_path):
    for name in ('mine', 'other'):
        torch.save(
            {'state_dict': {'a': torch.ones(1)}, 'extra': RunsACommand(tmp_path / f'{name} ran')}, tmp_path / name
        )
    reading = ReadingAsData(trusted=[str(tmp_path / 'mine')])
    assert reading(str(tmp_path / 'mine'))['state_dict']['a'] == 1
    assert (tmp_path / 'mine ran').exists()
    assert 'extra' not in reading(str(tmp_path / 'other'))
    assert not (tmp_path / 'other ran').exists()


def test_what_was_read_once_is_looked_through_again_when_it_was_replaced(tmp_path):
    file = tmp_path / 'x.pth'
    save_whole({'state_dict': {'a': torch.ones(99)}}, file)
    reading = ReadingAsData()
    reading(str(file))
    damaged = file.read_bytes().replace(torch.ones(99).numpy().tobytes(), torch.zeros(99).numpy().tobytes())
    file.write_bytes(damaged)
    os.utime(file, (1, 1))  # a clock may be too coarse
    with pytest.raises(DamagedCheckpointError):
        reading(str(file))


def test_hosts_find_the_weights_wherever_trainers_put_them(tmp_path):
    weights = {'weight': torch.ones(1)}
    for content in (weights, {'model': weights}, {'state_dict': weights, 'meta': {}}):
        torch.save(content, tmp_path / 'x.pth')
        assert read_for_host(str(tmp_path / 'x.pth'))['state_dict']['weight'] == 1
    # Strategies of mmengine keep a meta.pth.
    torch.save({'epoch': 3}, tmp_path / 'meta.pth')
    assert read_for_host(str(tmp_path / 'meta.pth'))['epoch'] == 3


def test_names_of_tensors_are_text_that_prints(tmp_path):
    for name in (1, 'a\x1b[2J', 'a' * 10_000, ''.join(map(chr, range(0x202A, 0x2030)))):
        torch.save({'state_dict': {name: torch.ones(1)}}, tmp_path / 'x.pth')
        with pytest.raises(CheckpointError) as refusal:
            read_for_host(str(tmp_path / 'x.pth'))
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 1000


def checkpoint_of_a_run(path, **runtime_info):
    content = {
        'state_dict': {'a': torch.ones(1)},
        'meta': {'epoch': 1, 'cfg': 'import os', 'config': 'import os'},
        'message_hub': {
            'log_scalars': {'loss': HistoryBuffer([1.0], [1])},
            'runtime_info': {'cfg': 'import os', 'epoch': 1, **runtime_info},
            'resumed_keys': dict.fromkeys(['cfg', 'epoch', 'loss', *runtime_info], True),
        },
    }
    torch.save(content, path)
    return str(path)


def test_no_config_from_a_file_reaches_a_host(tmp_path):
    """mmengine's resume runs meta['config'], its inferencers runtime_info['cfg'] and meta['cfg'].

    Nor does what was left out in reading, as mmengine's own logs are.
    """
    content = read_for_host(checkpoint_of_a_run(tmp_path / 'x.pth'))
    assert content['meta'] == {'epoch': 1}
    assert content['message_hub']['runtime_info'] == {'epoch': 1}
    assert content['message_hub']['resumed_keys'] == {'epoch': True}


class TestBestCheckpoint:
    """mmengine removes it at the next better score."""

    def info(self, tmp_path, path, name='best_ckpt', work_dir='run'):
        file = checkpoint_of_a_run(tmp_path / 'x.pth', **{name: path})
        content = read_for_host(file, tmp_path / work_dir if work_dir else None)
        return content['message_hub']['runtime_info'].get(name)

    def test_of_this_runs_folder_is_known_again(self, tmp_path):
        (tmp_path / 'run').mkdir()
        path = str(tmp_path / 'run' / 'best_coco_bbox_mAP_epoch_3.pth')
        for name in ('best_ckpt', 'best_ckpt_coco/bbox_mAP'):
            assert self.info(tmp_path, path, name) == path
        # As under the hosts' own scripts, whose work folder the reader does not know.
        assert self.info(tmp_path, path, work_dir=None) is None

    def test_what_lies_elsewhere_or_is_no_path_is_not_handed_over(self, tmp_path):
        (tmp_path / 'run' / 'best_folder.pth').mkdir(parents=True)
        (tmp_path / 'run' / 'best_link.pth').symlink_to(tmp_path / 'mine')
        paths = [
            *('other/best_a_epoch_3.pth', 'run', 'run/.', 'run/epoch_3.pth', 'run/../other/best_a_epoch_3.pth'),
            *('run/deeper/best_a_epoch_3.pth', 'run/best_folder.pth', 'run/best_link.pth', '', 'run/best_a\0.pth'),
        ]
        values = [str(tmp_path / path) for path in paths] + [np.array([1.0, 2.0]), torch.ones(2), 3, ['a']]
        for name in ('best_ckpt', 'best_ckpt_coco/bbox_mAP', 'last_ckpt'):
            assert [value for value in values if self.info(tmp_path, value, name) is not None] == []


def test_the_steps_of_kept_checkpoints_are_numbers(tmp_path):
    """mmengine makes file names of them, and removes the files."""
    for steps, kept in (([1, 2], True), (['/../../x'], False), ([-1], False), ('12', False)):
        content = read_for_host(checkpoint_of_a_run(tmp_path / 'x.pth', keep_ckpt_ids=steps))
        assert ('keep_ckpt_ids' in content['message_hub']['runtime_info']) == kept
