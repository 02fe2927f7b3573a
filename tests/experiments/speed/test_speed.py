"""``mmgcvit speed``: what is timed is the whole model, as its config runs it. How fast it is no test says."""

import sys

import numpy as np
import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.experiments.measuring import Timing
from mmgcvit.experiments.speed import Inference, Row, Training, measure, measuring, seconds_of_parts
from mmgcvit.inference import UserError

from ...inference.conftest import CONFIGS, TASKS, make_work_dir
from ...visualization.conftest import configs  # noqa: F401

PHOTO = (90, 120)


@pytest.fixture(scope='module')
def work_dirs(digits, tmp_path_factory):
    """One of each task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DIGITS', str(digits))
        return {task: make_work_dir(tmp_path_factory.mktemp('runs') / task, task) for task in TASKS}


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


@pytest.fixture
def config(work_dirs, task):
    return str(work_dirs[task] / f'{TASKS[task]}.py')


@pytest.fixture
def call_it(monkeypatch, tmp_path, capsys):
    """Call the command in this process; gives what it printed, and what it ended with."""
    monkeypatch.chdir(tmp_path)

    def call_it(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmgcvit speed', *map(str, arguments), '--device', 'cpu'])
        try:
            run_command('speed')
        except SystemExit as ended:
            return capsys.readouterr().out, ended.code
        return capsys.readouterr().out, ''

    return call_it


def cells_of(printed):
    """The rows of the table, without its head."""
    rows = [line for line in printed.splitlines() if line.startswith('| ')][1:]
    return [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]


def test_inference_is_a_row_for_each_batch_size(call_it, work_dirs, task):
    printed, ended = call_it(
        work_dirs[task], '--batch-sizes', 1, 2, '--rounds', 2, '--no-memory', '--photo-size', *PHOTO
    )
    assert ended == ''
    assert 'epoch_1.pth, on the CPU' in printed
    rows = cells_of(printed)
    assert [row[0] for row in rows] == ['1', '2']
    for row in rows:
        assert float(row[4]) == pytest.approx(int(row[0]) / float(row[2]) * 1000, rel=0.01)
    assert printed.count('backbone ') == 2


def test_training_is_timed_too(call_it, config):
    printed, ended = call_it(
        config, '--train', '--batch-sizes', 2, '--rounds', 1, '--no-memory', '--photo-size', *PHOTO
    )
    assert ended == ''
    assert 'training steps' in printed
    (row,) = cells_of(printed)
    assert float(row[2]) > 0


def test_a_training_step_is_one_of_the_optimizer(config):
    model, step, _ = Training(config, 'cpu', PHOTO).build(2)
    before = [parameter.clone() for parameter in model.parameters()]
    step()
    assert any((old != new).any() for old, new in zip(before, model.parameters(), strict=True))


def test_inference_ends_at_the_size_of_the_photo(config, task, monkeypatch):
    """So that scaling boxes, masks and labels back is timed."""
    model, step, shape = Inference(config, None, 'cpu', PHOTO).build(2)
    found = []
    original = model.test_step
    monkeypatch.setattr(model, 'test_step', lambda data: found.extend(original(data)))
    step()
    assert shape[0] == 3
    assert shape[1:] != PHOTO
    assert [tuple(sample.ori_shape) for sample in found] == [PHOTO, PHOTO]
    if task == 'segmentation':
        assert found[0].pred_sem_seg.data.shape == (1, *PHOTO)
    if task == 'detection':
        assert found[0].pred_instances.masks.shape[1:] == PHOTO


def test_parts_are_all_of_a_step_and_leave_no_hooks(config, task):
    model, step, _ = Inference(config, None, 'cpu', PHOTO).build(1)
    parts = seconds_of_parts(model, step, 'cpu', rounds=1)
    assert list(parts) == ['backbone', *(['neck'] if task != 'segmentation' else []), 'heads and the rest']
    assert all(seconds > 0 for seconds in parts.values())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in (model.backbone,))


@pytest.mark.slow
def test_training_needs_more_memory_than_inference(work_dirs):
    config = str(work_dirs['classification'] / 'classify.py')
    inference, training = (
        measure(work, 32, rounds=1) for work in (Inference(config, None, 'cpu', PHOTO), Training(config, 'cpu', PHOTO))
    )
    assert training.peak > inference.peak > 0
    assert training.weights == inference.weights


def test_images_per_second_are_those_of_the_median_round():
    row = Row(4, (3, 32, 32), Timing((1.0, 2.0, 9.0)), 0, None, {})
    assert row.images_per_second == 2.0


def test_a_batch_that_does_not_fit_is_said_and_the_others_go_on(call_it, work_dirs, monkeypatch):
    original = Inference.build

    def build(self, batch_size):
        model, step, shape = original(self, batch_size)

        def full():
            raise RuntimeError('out of memory: tried to allocate 2 GiB')

        return model, full if batch_size == 2 else step, shape

    monkeypatch.setattr(Inference, 'build', build)
    printed, ended = call_it(
        work_dirs['classification'], '--batch-sizes', 2, 1, '--rounds', 1, '--no-memory', '--photo-size', *PHOTO
    )
    assert [row[0] for row in cells_of(printed)] == ['1']
    assert ended.startswith('speed: 2 images at a time: ')
    assert 'out of memory' in ended


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--rounds', 0], 'expected whole numbers of at least 1'),
        (['--train', '--photo', 'photo.png'], '--train takes random weights'),
        (['--photo', 'nowhere.png'], 'nowhere.png: there is no such file'),
    ],
)
def test_what_means_nothing_is_refused_in_a_sentence(call_it, arguments, words):
    _, ended = call_it(CONFIGS.parents[2] / 'tests' / 'data' / 'configs' / 'classify.py', *arguments)
    assert ended.startswith('speed: ')
    assert words in ended


def test_a_config_that_is_not_there_is_named(call_it):
    assert call_it('nowhere.py')[1] == 'speed: there is no config nowhere.py, neither a file nor a work dir'


def test_a_pipeline_that_mixes_images_is_refused_in_a_sentence(configs):  # noqa: F811
    with pytest.raises(UserError, match='works on one image at a time'):
        Training(str(configs['mosaic']), 'cpu', PHOTO).build(1)


def test_sizes_are_the_largest_that_the_train_pipeline_draws(configs):  # noqa: F811
    """160, 200 or 240 px a side, by chance."""
    assert Training(str(configs['detection']), 'cpu', (100, 100)).build(1)[2] == (3, 240, 240)


def test_memory_is_left_out_when_asked(work_dirs, monkeypatch):
    monkeypatch.setattr(measuring, 'peak_memory_of', lambda *_: pytest.fail('measured'))
    row = measure(Inference(str(work_dirs['classification'] / 'classify.py'), None, 'cpu', PHOTO), 1, 1, False)
    assert row.peak is None
    assert np.isfinite(row.images_per_second)
