"""What a display is told of a run."""

import pytest
from mmengine.evaluator import BaseMetric, Evaluator

from mmgcvit.engine.progress import ProgressHook, shown_scores

from .drawing import config, run


def test_of_a_mean_and_its_parts_the_mean_is_shown():
    coco = {'coco/bbox_mAP': 0.7821, 'coco/bbox_mAP_50': 0.95, 'coco/bbox_mAP_s': -1.0, 'coco/segm_mAP': 0.79}
    assert shown_scores(coco) == 'coco/bbox_mAP 0.7821  coco/segm_mAP 0.79'


def test_of_scores_the_numbers_are_shown():
    """Also numpy's; not lists such as a value per class."""
    assert shown_scores({'mIoU': 50.0, 'IoU': [1.0, 2.0], 'accuracy/top1': 98.888}) == 'mIoU 50  accuracy/top1 98.89'


class Noting:
    """A display that keeps what it is told."""

    def __init__(self):
        self.told = []

    def begin(self, name, total, done=0):
        self.told.append(('begin', name, total, done))

    def advance(self, done, note=''):
        self.told.append(('advance', done, note.split(' ')[0]))

    def end(self):
        self.told.append(('end',))

    def line(self, text):
        self.told.append(('line', text))


class Score(BaseMetric):
    """Always the same."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'mIoU': 50.0}


VALIDATING = {
    'val_cfg': {},
    'val_evaluator': Evaluator([Score()]),
    'val_dataloader': {
        'batch_size': 6,
        'dataset': {'type': 'DrawingImages'},
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    },
}


@pytest.mark.parametrize(
    ('loop', 'validated', 'epoch_lines'),
    [
        ({'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 1}, 'epoch 1 of 1', 1),
        (
            {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 4, 'val_interval': 4},
            'iteration 4 of 4',
            0,
        ),
    ],
    ids=['epochs', 'iterations'],
)
def test_a_display_is_told_of_every_iteration_loss_and_score(loop, validated, epoch_lines, tmp_path):
    display = Noting()
    cfg = config(tmp_path, loop=loop, **VALIDATING)
    run(cfg, hook=ProgressHook(display))
    told = display.told
    assert told[0] == ('begin', 'training', 4, 0)
    assert [item for item in told if item[0] == 'advance' and item[2] == 'loss'] == [
        ('advance', done, 'loss') for done in range(1, 5)
    ]
    inside = told[told.index(('begin', 'validating', 2, 0)) :]
    assert inside[1:4] == [('advance', 1, ''), ('advance', 2, ''), ('end',)]
    assert inside[4] == ('line', f'{validated} validated: mIoU 50')
    lines = [item[1] for item in told if item[0] == 'line' and item[1].startswith('epoch 1 of 1: loss ')]
    assert len(lines) == epoch_lines
    assert told[-1] == ('end',)
    assert told.count(('end',)) == 2
