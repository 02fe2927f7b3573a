"""``mmgcvit speed``: what is timed is the whole model, as its config runs it. How fast it is no test says."""

import re

import pytest

from mmgcvit.errors import UserError
from mmgcvit.experiments import speed
from mmgcvit.experiments.speed import Inference, Training, measure, seconds_of_parts

from ..inference.conftest import CONFIGS, TASKS

PHOTO = (90, 120)


@pytest.fixture
def config(work_dir, task):
    return str(work_dir / f'{TASKS[task]}.py')


def cells_of(printed):
    """The rows of the table, without its head."""
    rows = [line for line in printed.splitlines() if line.startswith('| ')][1:]
    return [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]


QUICK = ('--device', 'cpu', '--no-memory', '--photo-size', *PHOTO)


def test_inference_and_training_are_a_row_for_each_batch_size(call, work_dir, config):
    code, printed = call('speed', work_dir, '--batch-sizes', 1, 2, '--rounds', 2, *QUICK)
    assert code == 0
    assert 'epoch_1.pth, on the CPU' in printed
    rows = cells_of(printed)
    assert [row[0] for row in rows] == ['1', '2']
    for row in rows:
        assert float(row[4]) == pytest.approx(int(row[0]) / float(row[2]) * 1000, rel=0.01)
    assert printed.count('backbone ') == 2
    code, printed = call('speed', config, '--train', '--batch-sizes', 2, '--rounds', 1, *QUICK)
    assert code == 0
    assert 'training steps' in printed
    assert float(cells_of(printed)[0][2]) > 0


def test_a_training_step_is_one_of_the_optimizer(config):
    model, step, _ = Training(config, 'cpu', PHOTO).build(2)
    before = [parameter.clone() for parameter in model.parameters()]
    step()
    assert any((old != new).any() for old, new in zip(before, model.parameters(), strict=True))


def test_inference_ends_at_the_size_of_the_photo_and_its_parts_are_all_of_it(config, task, monkeypatch):
    """So that scaling boxes, masks and labels back is timed. No hooks are left."""
    model, step, shape = Inference(config, None, 'cpu', PHOTO).build(2)
    found = []
    original = model.test_step
    with monkeypatch.context() as patch:
        patch.setattr(model, 'test_step', lambda data: found.extend(original(data)))
        step()
    assert shape[0] == 3
    assert shape[1:] != PHOTO
    assert [tuple(sample.ori_shape) for sample in found] == [PHOTO, PHOTO]
    if task == 'segmentation':
        assert found[0].pred_sem_seg.data.shape == (1, *PHOTO)
    if task == 'detection':
        assert found[0].pred_instances.masks.shape[1:] == PHOTO
    parts = seconds_of_parts(model, step, 'cpu', rounds=1)
    assert list(parts) == ['backbone', *(['neck'] if task != 'segmentation' else []), 'heads and the rest']
    assert all(seconds > 0 for seconds in parts.values())
    assert not model.backbone._forward_hooks
    assert not model.backbone._forward_pre_hooks


@pytest.mark.long
def test_training_needs_more_memory_than_inference(work_dirs):
    config = str(work_dirs['classification'] / 'classify.py')
    inference, training = (
        measure(work, 32, rounds=1) for work in (Inference(config, None, 'cpu', PHOTO), Training(config, 'cpu', PHOTO))
    )
    assert training.peak > inference.peak > 0
    assert training.weights == inference.weights


def test_a_batch_that_does_not_fit_is_said_and_the_others_go_on(call, work_dirs, monkeypatch):
    original = Inference.build

    def build(self, batch_size):
        model, step, shape = original(self, batch_size)

        def full():
            raise RuntimeError('out of memory: tried to allocate 2 GiB')

        return model, full if batch_size == 2 else step, shape

    monkeypatch.setattr(Inference, 'build', build)
    code, printed = call('speed', work_dirs['classification'], '--batch-sizes', 2, 1, '--rounds', 1, *QUICK)
    assert [row[0] for row in cells_of(printed)] == ['1']
    assert code == 1
    assert re.search(r'^speed: 2 images at a time: .*out of memory', printed, re.MULTILINE)


def test_what_means_nothing_is_refused_in_a_sentence(call, configs):
    config = CONFIGS / 'classify.py'
    for arguments, words in (
        ([config, '--rounds', 0], '--rounds 0: expected at least 1'),
        ([config, '--train', '--photo', 'photo.png'], '--train takes random weights'),
        ([config, '--photo', 'nowhere.png'], 'nowhere.png: there is no such file'),
        (['nowhere.py'], 'there is no config nowhere.py, neither a file nor a work dir'),
    ):
        code, printed = call('speed', *arguments, '--device', 'cpu')
        assert code == 1
        assert words in printed.partition('speed: ')[2]
    with pytest.raises(UserError, match='works on one image at a time'):
        Training(str(configs['mosaic']), 'cpu', PHOTO).build(1)


def test_sizes_are_the_largest_that_the_train_pipeline_draws(configs):
    """160, 200 or 240 px a side, by chance."""
    assert Training(str(configs['detection']), 'cpu', (100, 100)).build(1)[2] == (3, 240, 240)


def test_memory_is_left_out_when_asked(work_dirs, monkeypatch):
    monkeypatch.setattr(speed, 'peak_memory_of', lambda *_: pytest.fail('measured'))
    row = measure(Inference(str(work_dirs['classification'] / 'classify.py'), None, 'cpu', PHOTO), 1, 1, False)
    assert row.peak is None
