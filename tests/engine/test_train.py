"""A training checks the data of both loaders, and its runner gets the hooks and the lines that it
needs.
"""

from contextlib import contextmanager
from unittest import mock

import pytest
from mmengine.config import Config

from mmgcvit.engine import train as engine
from mmgcvit.engine.hooks.patience import PatienceHook
from mmgcvit.engine.train import follow_interrupt, read_interrupt
from mmgcvit.runs.folder import INTERRUPTED_FILE


@pytest.fixture
def steps(monkeypatch):
    """Replace the steps of a training by mocks. Return them by name."""
    names = ('check_settings', 'skip_unreadable', 'choose_checkpoint', 'check_data')
    steps = {name: mock.Mock(return_value=None) for name in (*names, 'run_until_signal')}
    for name, step in steps.items():
        monkeypatch.setattr(engine, name, step)

    @contextmanager
    def open_runner(cfg, checkpoint, hooks):
        runner = steps['run_until_signal'].runner
        runner.given_hooks = hooks
        yield runner

    monkeypatch.setattr(engine, 'open_runner', open_runner)
    return steps


@pytest.mark.parametrize('patience', [None, 3])
def test_a_training_is_checked_and_prepared(patience, steps):
    cfg = Config({'data_checks': {'unreadable_images': 7}})
    engine.train(cfg, patience=patience, overwrite=True, meta={'weights_limit': 'x'})
    runner = steps['run_until_signal'].runner
    assert steps['run_until_signal'].call_args.args == (runner,)
    assert steps['check_data'].call_args.args[1] == ['train_dataloader', 'val_dataloader']
    assert steps['skip_unreadable'].call_args.args[1] == 7
    chosen = steps['choose_checkpoint'].call_args.kwargs
    assert chosen == {'resume': None, 'overwrite': True}
    has_patience = any(isinstance(hook, PatienceHook) for hook in runner.given_hooks)
    assert has_patience == bool(patience)
    assert runner.meta == {'weights_limit': 'x'}


@pytest.mark.parametrize('is_resumed', [True, False])
def test_a_checkpoint_is_resumed_or_started_from(is_resumed, steps, monkeypatch):
    checkpoint = mock.Mock(source='x.pth', is_resumed=is_resumed)
    steps['choose_checkpoint'].return_value = checkpoint
    monkeypatch.setattr(engine, 'prepare_start', prepared := mock.Mock())
    engine.train(Config({'resume': not is_resumed}), same_model=True)
    _, cfg, given, same_model = prepared.call_args.args
    assert given is checkpoint
    assert same_model
    assert (cfg.resume, cfg.load_from) == (is_resumed, 'x.pth')


@pytest.mark.parametrize(('steps_now', 'is_warned'), [(1, False), (2, True)])
def test_the_lr_is_for_the_batches_of_the_configs_file(steps_now, is_warned, steps, tmp_path):
    """Also if nobody passes the config without options on."""
    file = tmp_path / 'config.py'
    file.write_text(
        'auto_scale_lr = dict(base_batch_size=2)\ntrain_dataloader = dict(batch_size=2)\n'
        'optim_wrapper = dict(accumulative_counts=1)\n'
    )
    cfg = Config.fromfile(file)
    cfg.optim_wrapper.accumulative_counts = steps_now
    engine.train(cfg)
    runner = steps['run_until_signal'].runner
    assert runner.logger.warning.called == is_warned


@pytest.mark.parametrize('checkpoint_has_classes', [True, False])
def test_classes_of_the_checkpoint_and_of_the_images_are_matched(checkpoint_has_classes):
    dataset = {'type': 'mmdet.CocoDataset', 'metainfo': {'classes': ('cat', 'dog')}}
    cfg = Config({'train_dataloader': {'dataset': dataset}})
    meta = {'dataset_meta': {'classes': ['dog', 'cow']}} if checkpoint_has_classes else {}
    match = engine.find_class_match(cfg, mock.Mock(content={'meta': meta}))
    if checkpoint_has_classes:
        assert (match.checkpoint, match.model) == (('dog', 'cow'), ('cat', 'dog'))
    else:
        assert match is None


@pytest.mark.parametrize('num_ranks', [1, 2])
def test_an_interrupted_training_ends_its_own_data_workers_and_notes_the_signal(
    num_ranks, tmp_path, monkeypatch
):
    """Other child processes go on. Ranks of other machines read the note."""
    other, worker = mock.Mock(), mock.Mock()
    children = mock.Mock(side_effect=[[other], [other, worker]])
    monkeypatch.setattr(engine, 'active_children', children)
    monkeypatch.setattr(engine, 'get_world_size', lambda: num_ranks)
    runner = mock.Mock(log_dir=str(tmp_path), iter=7, hooks=[mock.Mock(last_ckpt='x.pth')])
    runner.train.side_effect = KeyboardInterrupt(15)
    with pytest.raises(KeyboardInterrupt):
        engine.run_until_signal(runner)
    assert (worker.kill.called, worker.join.called, other.kill.called) == (True, True, False)
    said = runner.logger.warning.call_args.args[0]
    assert said.startswith('interrupted after iteration 7; checkpoint: x.pth\n')
    assert read_interrupt(tmp_path / INTERRUPTED_FILE) == (15 if num_ranks > 1 else None)


@pytest.mark.parametrize(
    ('error', 'note', 'expected'),
    [
        (RuntimeError('Connection closed by peer'), '15', KeyboardInterrupt),
        (RuntimeError('Connection closed by peer'), None, RuntimeError),
        (OSError('no space left'), '15', OSError),
    ],
)
def test_a_rank_that_loses_an_interrupted_one_is_interrupted_too(error, note, expected, tmp_path):
    if note:
        (tmp_path / INTERRUPTED_FILE).write_text(note)
    with pytest.raises(expected) as raised, follow_interrupt(tmp_path / INTERRUPTED_FILE):
        raise error
    assert raised.value.args == ((15,) if expected is KeyboardInterrupt else error.args)
