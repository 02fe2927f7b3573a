"""What a rehearsed process writes down is what happened in it."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from mmgcvit.experiments.dry_run.observer import FILE, DryRunObserver, numbers_of, sum_of_predictions


@pytest.fixture
def runner(tmp_path):
    """A model of three parts, of which one is frozen, and one does not take part."""
    model = nn.ModuleDict({name: nn.Linear(2, 1, bias=False) for name in ('used', 'frozen', 'idle')})
    model['frozen'].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    return SimpleNamespace(
        model=model, iter=0, work_dir=str(tmp_path), optim_wrapper=SimpleNamespace(optimizer=optimizer)
    )


def observed_of(runner):
    with open(f'{runner.work_dir}/{FILE}') as file:  # noqa: PTH123
        return json.load(file)


def step(hook, runner, scale=1.0):
    loss = scale * runner.model['frozen'](runner.model['used'].weight).sum()
    loss.backward()
    runner.optim_wrapper.optimizer.step()
    runner.iter += 1
    hook.after_train_iter(runner, 0, outputs={'loss': loss.detach(), 'maps': torch.zeros(2)})
    return loss.item()


def test_losses_and_weights_with_and_without_gradients_are_told(runner):
    hook = DryRunObserver()
    hook.before_train(runner)
    losses = [step(hook, runner), step(hook, runner)]
    hook.after_train(runner)
    observed = observed_of(runner)
    assert observed['losses'] == [{'loss': loss} for loss in losses]
    assert (observed['start'], observed['end']) == (0, 2)
    assert (observed['num_weights'], observed['num_moved']) == (2, 1)
    assert observed['without_gradient'] == ['idle.weight']
    assert observed['unmoved_parts'] == []
    assert observed['start_state'][1] == 0 < observed['end_state'][1], 'what the optimizer keeps'


@pytest.mark.parametrize(('scale', 'unmoved'), [(1.0, ['used']), (1e-9, [])])
def test_a_part_with_a_gradient_that_does_not_move_is_told(runner, scale, unmoved):
    """But one whose gradients are too small to move it is not."""
    for group in runner.optim_wrapper.optimizer.param_groups:
        group['lr'] = 0.0
    hook = DryRunObserver()
    hook.before_train(runner)
    step(hook, runner, scale)
    hook.after_train(runner)
    assert observed_of(runner)['unmoved_parts'] == unmoved


def test_predictions_are_summed_and_the_truth_is_not(runner):
    sample = BaseDataElement(
        gt_instances=InstanceData(scores=torch.tensor([100.0])),
        pred_instances=InstanceData(scores=torch.tensor([1.0, 2.0]), labels=torch.tensor([3, 4])),
        pred_score=torch.tensor(0.5),
        pred_text='a dog',
    )
    assert sum_of_predictions([sample, 'no sample']) == 10.5
    hook = DryRunObserver()
    for outputs in ([sample], [sample], None):
        hook.after_val_iter(runner, 0, outputs=outputs)
        hook.after_test_iter(runner, 0, outputs=outputs)
    hook.after_val_epoch(runner, {'mAP': 0.5})
    hook.after_test_epoch(runner, {'mAP': torch.tensor(0.25)})
    observed = observed_of(runner)
    assert (observed['val_predictions'], observed['test_predictions']) == (21.0, 21.0)
    assert (observed['val'], observed['test']) == ({'mAP': 0.5}, {'mAP': 0.25})


def test_scores_that_are_no_numbers_are_left_out():
    """Those of classes that no image shows, and tables."""
    assert numbers_of({'a': 1, 'b': float('nan'), 'c': 'text', 'd': torch.zeros(2)}) == {'a': 1.0}
    assert numbers_of(None) == {}
