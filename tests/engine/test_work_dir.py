"""Choose the checkpoint to resume from, reject invalid ones and used work dirs, and warn of changed
settings.
"""

import os
import re
import socket
from itertools import count

import pytest
import torch
from mmengine.config import Config

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.engine.runner import Runner
from mmgcvit.engine.work_dir import choose_checkpoint
from mmgcvit.errors import CheckpointError
from mmgcvit.runs import lock as run_lock
from mmgcvit.runs.folder import LOCK_FILE, RunFolder

from ..moments import read_files
from ..toy import CONFIG, ToyClassifier, last, train_in_two, write_checkpoints

NUMBERS = count()


@pytest.fixture
def work_dir(tmp_path):
    """Write three checkpoints, the second of which last_checkpoint names."""
    write_checkpoints(tmp_path)
    return tmp_path


@pytest.fixture
def run(tmp_path):
    """Return the work dir of :func:`train`."""
    return tmp_path / 'run'


@pytest.fixture
def train(call, run):
    """Return a function that trains the toy model for an epoch, and returns the exit code and the
    output.
    """

    def train(*options, settings=(), work_dir=run):
        # mmengine has one logger and one visualizer for each name.
        settings = [f'experiment_name={next(NUMBERS)}', 'train_cfg.max_epochs=1', *settings]
        return call('train', CONFIG, '--work-dir', work_dir, *options, '--cfg-options', *settings)

    return train


def get_choice(work_dir, option, **settings):
    """Return whether a run resumes, its checkpoint's name and whether the optimizer's state is
    read.
    """
    checkpoint = choose_checkpoint(Config({'work_dir': str(work_dir), **settings}), option)
    return checkpoint.is_resumed, checkpoint.source, 'optimizer' in checkpoint.content


def test_the_same_options_start_and_resume_a_run(work_dir, tmp_path_factory):
    """If nothing is resumed, the config's load_from holds, without its optimizer state."""
    latest = str(work_dir / 'epoch_2.pth')
    earlier = str(work_dir / 'epoch_1.pth')
    empty = tmp_path_factory.mktemp('empty')
    assert get_choice(empty, 'auto', load_from=earlier) == (False, earlier, False)
    assert get_choice(work_dir, 'auto') == (True, latest, True)
    assert get_choice(work_dir, None, resume=True) == (True, latest, True)
    assert get_choice(work_dir, earlier) == (True, earlier, True)
    cfg = Config({'work_dir': str(work_dir)})
    assert choose_checkpoint(cfg, None, overwrite=True) is None
    with pytest.raises(CheckpointError, match=r'resume=nowhere\.pth: there is no such file'):
        choose_checkpoint(cfg, 'nowhere.pth')
    cfg.load_from = earlier
    message = r'the run would remove load_from=.*epoch_1\.pth from its work dir'
    with pytest.raises(CheckpointError, match=message):
        choose_checkpoint(cfg, None, overwrite=True)


def test_a_resumed_run_does_not_replace_the_checkpoints_of_another(work_dir, tmp_path_factory):
    other = tmp_path_factory.mktemp('other')
    checkpoint = str(work_dir / 'epoch_2.pth')
    (other / 'link').symlink_to(work_dir)
    for folder in (other, other / 'link'):
        assert get_choice(folder, checkpoint) == (True, checkpoint, True)
    (other / 'best_score_epoch_1.pth').touch()
    for source, text in (
        (checkpoint, 'has checkpoints of another run, which'),
        ('auto', "has an earlier run's checkpoints"),
        ('https://example.com/epoch_2.pth', 'has checkpoints of another run, which'),
    ):
        with pytest.raises(CheckpointError, match=text):
            choose_checkpoint(Config({'work_dir': str(other)}), source)


def test_a_work_dir_with_checkpoints_is_rejected_or_resumed(train, run):
    """A rejected run changes nothing. A resumed one lists changed settings in one warning."""
    assert train()[0] == 0
    before = read_files(run)
    message = train()[1]
    names = 'best_score_epoch_1.pth, epoch_1.pth, last_checkpoint'
    assert f"has an earlier run's checkpoints ({names}). Resume it, set another work_dir" in message
    assert read_files(run) == before
    changed = ['optim_wrapper.optimizer.weight_decay=0.5', 'train_cfg.max_epochs=2']
    assert train('--resume', settings=['log_level=INFO', *changed])[0] == 0
    assert (run / 'epoch_2.pth').is_file()
    log = max(run.glob('*/*.log')).read_text()
    for line in (
        'resumed with other settings:\n',
        '  optim_wrapper.optimizer.weight_decay: (none) -> 0.5\n',
        '  train_cfg.max_epochs: 1 -> 2\n',
        'training goes on until epoch 2',
    ):
        assert line in log


def test_a_test_leaves_the_config_of_a_run_as_it_is(train, call, run):
    """With --tta, for example, the tested model is another one than that of the run."""
    assert train()[0] == 0
    config = run / CONFIG.name
    before = config.read_bytes()
    for folder, options in ((run / 'test', ()), (run, ('--work-dir', run))):
        options += ('--cfg-options', f'experiment_name={next(NUMBERS)}')
        code, printed = call('test', str(config), str(run / 'epoch_1.pth'), *options)
        assert code == 0, printed
        assert list(folder.glob('*/*.log'))
    assert list(run.rglob(CONFIG.name)) == [config]
    assert config.read_bytes() == before


def test_a_checkpoint_is_resumed_only_if_it_has_all_tensors_of_the_model(train, run):
    """mmengine would leave those that are missing or misfit at their initial values, and drop
    others.
    """
    assert train()[0] == 0
    file = run / 'epoch_1.pth'
    content = read_checkpoint(file)
    weights = dict(content['state_dict'])
    changes = {
        'head.bias': {name: x for name, x in weights.items() if name != 'head.bias'},
        'head.other': {**weights, 'head.other': torch.zeros(1)},
        'head.weight': {**weights, 'head.weight': torch.zeros(4, 32)},
    }
    for name, changed in changes.items():
        torch.save({**content, 'state_dict': changed}, file)
        code, printed = train('--resume', settings=['train_cfg.max_epochs=2'])
        assert code == 1, name
        assert name in printed
        assert not (run / 'epoch_2.pth').exists()


def test_a_test_of_a_resumed_run_reads_weights_only(train, call, run):
    """The config of such a run has resume=True. A published file has no optimizer state."""
    assert train()[0] == 0
    config = run / CONFIG.name
    config.write_text(f'{config.read_text()}\nresume = True\n')
    content = read_checkpoint(run / 'epoch_1.pth')
    torch.save({'state_dict': content['state_dict'], 'meta': {}}, run / 'weights.pth')
    options = ('--cfg-options', f'experiment_name={next(NUMBERS)}')
    code, printed = call('test', str(config), str(run / 'weights.pth'), *options)
    assert code == 0, printed


def test_a_run_does_not_start_in_a_work_dir_locked_by_another(train, run, monkeypatch):
    monkeypatch.setattr(run_lock, 'LOCK_TIMEOUT', 0.1)
    run.mkdir()
    (run / LOCK_FILE).write_text('process 123456 on a machine with a long name, which has failed')
    with RunFolder(run).lock():
        message = train()[1]
    text = f'another training is running in run (process {os.getpid()} on {socket.gethostname()})'
    assert text in message
    assert RunFolder(run).list_checkpoints() == []
    message = train(work_dir=CONFIG / 'run')[1]
    assert re.search(r'the work dir .*/run cannot be written', message)


def test_resuming_from_weights_only_is_rejected(train, run):
    weights = run.with_name('weights.pth')
    model = ToyClassifier(Config.fromfile(CONFIG).backbone)
    torch.save({'state_dict': model.state_dict()}, weights)
    message = train('--resume', weights)[1]
    assert f'{weights} has no optimizer and no message_hub and no data_position' in message
    assert not list(run.glob('*.pth'))
    assert f'set load_from={weights}' in message
    assert train(settings=[f'load_from={weights}'])[0] == 0


@pytest.mark.slow
def test_two_ranks_follow_the_effective_batch_size_and_share_cpus(tmp_path):
    """2 x 2 images are the recipe's 2 x 1 in two steps.

    mmengine collects results in .dist_test where it starts.
    """
    config = tmp_path / 'config.py'
    run = tmp_path / 'run'
    config.write_text(
        f'_base_ = {str(CONFIG)!r}\noptim_wrapper = dict(accumulative_counts=2)\n'
        'auto_scale_lr = dict(base_batch_size=2)\nval_dataloader = dict(num_workers=8)\n'
    )
    settings = [
        'train_dataloader.batch_size=2',
        'optim_wrapper.accumulative_counts=1',
        'train_cfg.max_epochs=1',
        'train_dataloader.persistent_workers=True',
        'train_dataloader.prefetch_factor=2',
    ]
    train_in_two(run, '--auto-scale-lr', settings=settings, config=config, folder=tmp_path)
    assert last(run)['optimizer']['param_groups'][0]['initial_lr'] == 1e-3
    assert sorted(path.name for path in tmp_path.iterdir()) == ['config.py', 'run']
    workers = Config.fromfile(run / 'config.py').val_dataloader.num_workers
    assert workers == max(min(len(os.sched_getaffinity(0)) // 2, 8), 1)


def test_each_metric_collects_its_results_of_ranks_in_a_folder_of_its_own(tmp_path):
    """Rank 0 removes it while others write the results for the next metric."""
    runner = Runner.__new__(Runner)
    runner._log_dir = str(tmp_path / 'logs')
    metrics = [{'type': 'ChangingScore'}, {'type': 'ChangingScore', 'collect_dir': 'mine'}]
    metrics.append({'type': 'ChangingScore', 'prefix': 'other'})
    built = runner.build_evaluator(metrics)
    folders = [metric.collect_dir for metric in built.metrics]
    assert folders[1] == 'mine'
    assert folders[0] != folders[2]
    assert all(str(tmp_path / 'logs') in folder for folder in folders[::2])


def test_a_run_that_would_remove_its_own_start_is_rejected(work_dir, tmp_path):
    """Also where a link leads there."""
    (tmp_path / 'link').symlink_to(work_dir)
    cfg = Config({'work_dir': str(work_dir), 'load_from': str(tmp_path / 'link' / 'epoch_1.pth')})
    with pytest.raises(CheckpointError, match=r'the run would remove load_from=.*Copy it'):
        choose_checkpoint(cfg, None, overwrite=True)


def test_mmengines_long_messages_about_a_start_are_in_the_log_file_only(train, run):
    _, printed = train(settings=['log_level=INFO'])
    (log,) = run.glob('*/*.log')
    for message in ('System environment:', 'Config:', 'Hooks will be executed'):
        assert message in log.read_text()
        assert message not in printed
