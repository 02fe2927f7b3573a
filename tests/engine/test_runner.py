"""A run loads the checkpoint that was read and checked before it, once, and keeps none of it."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
from mmengine.hooks import EMAHook, Hook

from mmgcvit.checkpoints.class_rows import InitialWeights
from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.checkpoints.safe_loading import read_for_mmengine
from mmgcvit.engine.setup import open_runner
from mmgcvit.host.runners import unwrap_model

from .random_training import EPOCHS, assert_same, make_config, run


@pytest.fixture
def file(tmp_path):
    """The checkpoint of a training."""
    run(make_config(tmp_path / 'run', EPOCHS))
    return Path((tmp_path / 'run' / 'last_checkpoint').read_text())


def open_loading(file, folder, is_resumed):
    """Return the checkpoint of a run that resumes from a file or loads its weights, and the
    context of its runner.
    """
    cfg = make_config(folder, EPOCHS, load_from=str(file), resume=is_resumed)
    checkpoint = read_for_mmengine(str(file), folder, is_resumed)
    return checkpoint, open_runner(cfg, checkpoint, hooks=[])


@pytest.mark.parametrize('is_resumed', [True, False])
def test_the_content_is_loaded_without_the_file_and_its_memory_is_freed(is_resumed, file, tmp_path):
    """Also if somebody still has the Checkpoint."""
    checkpoint, context = open_loading(file, tmp_path / 'other', is_resumed)
    weights = {name: x.clone() for name, x in checkpoint.content['state_dict'].items()}
    freed = weakref.ref(next(iter(checkpoint.content['state_dict'].values())))
    file.unlink()
    state = {}

    class NoteHook(Hook):
        def before_train(self, runner):
            gc.collect()
            # EMA's averages are saved in the place of the weights.
            ema = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
            model = ema.ema_model.module if is_resumed else runner.model
            state.update({name: x.clone() for name, x in model.state_dict().items()})
            state['freed'] = freed() is None

    with context as runner:
        runner.register_hook(NoteHook())
        runner.train()
    assert state.pop('freed')
    assert not checkpoint.content
    assert_same(state, weights)


def test_a_part_of_the_weights_is_completed_by_initial_values_and_said(file, tmp_path):
    checkpoint, context = open_loading(file, tmp_path / 'other', is_resumed=False)
    tensors = checkpoint.content['state_dict']
    name, *missing = tensors
    checkpoint.content['state_dict'] = {name: tensors[name]}
    with context as runner:
        runner.initial_weights = InitialWeights('1 tensor loaded', {})
        initial = {key: x.clone() for key, x in runner.model.state_dict().items()}
        runner.call_hook('before_run')
        content = runner.load_checkpoint(str(file))
        loaded = runner.model.state_dict()
        assert torch.equal(loaded[name], tensors[name])
        assert all(torch.equal(loaded[key], initial[key]) for key in missing)
        assert content['state_dict'].keys() == tensors.keys()


def test_what_the_caller_notes_is_in_all_checkpoints(tmp_path):
    """Beside what mmengine and the hooks note."""
    cfg = make_config(tmp_path, EPOCHS, saves=None, get_score=lambda: 0.5)
    cfg.default_hooks.checkpoint.time_interval = 0
    with open_runner(cfg, None, hooks=[]) as runner:
        runner.meta = {'weights_limit': 'not for commercial use'}
        runner.train()
    files = list(tmp_path.glob('*.pth'))
    assert len(files) > 1
    for file in files:
        meta = read_checkpoint(file)['meta']
        assert (meta['weights_limit'], meta['epoch']) == ('not for commercial use', 3)


def test_another_file_is_read_as_data(file, tmp_path):
    """Such as one that a hook of the user's loads."""
    _, context = open_loading(file, tmp_path / 'other', is_resumed=False)
    with context as runner:
        runner.checkpoint = None
        runner.call_hook('before_run')
        runner.load_checkpoint(str(file))
        expected = read_for_mmengine(str(file)).content['state_dict']
        for name, tensor in unwrap_model(runner).state_dict().items():
            assert torch.equal(tensor, expected[name])
