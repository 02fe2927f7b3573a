"""What a checkpoint says of a run is looked over before a run takes it over."""

import copy

import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim import LinearLR
from torch import nn

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.checkpoints.resuming import RUN, check_resumable


class Run:
    """A model of two layers, its optimizer after a step, its scheduler, and the checkpoint of all that."""

    def __init__(self, kind=torch.optim.AdamW, **options):
        self.model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
        groups = [{'params': [parameter]} for parameter in self.model.parameters()]
        self.optimizer = kind(groups, lr=0.1, **options)
        self.schedulers = [LinearLR(self.optimizer, start_factor=0.5, end=10)]
        self.model(torch.ones(1, 3)).sum().backward()
        self.optimizer.step()
        log = HistoryBuffer()
        log.update(1.0)
        self.checkpoint = copy.deepcopy(
            {
                'meta': {'epoch': 1, 'iter': 7, 'seed': 3},
                'state_dict': self.model.state_dict(),
                'optimizer': self.optimizer.state_dict(),
                'param_schedulers': [scheduler.state_dict() for scheduler in self.schedulers],
                'message_hub': {
                    'log_scalars': {'train/loss': log},
                    'runtime_info': {'epoch': 1, 'best_score': 0.5},
                    'resumed_keys': {'epoch': True},
                },
                RUN: {
                    **{'seed': 3, 'processes': 1, 'images': 2, 'accumulated': 4, 'epoch_length': 5},
                    'gradients': {name: p.grad for name, p in self.model.named_parameters()},
                },
                'ema_state_dict': {
                    'steps': torch.tensor(7),
                    **{f'module.{name}': tensor for name, tensor in self.model.state_dict().items()},
                },
            }
        )

    def check(self):
        check_resumable(self.checkpoint, 'x.pth', self.model, self.optimizer, self.schedulers)


def test_a_runs_own_checkpoint_is_resumed_of_every_kind_of_optimizer():
    for kind, options in (
        *((torch.optim.AdamW, {}), (torch.optim.AdamW, {'amsgrad': True}), (torch.optim.Adam, {'betas': (0.8, 0.9)})),
        *((torch.optim.SGD, {}), (torch.optim.SGD, {'momentum': 0.9}), (torch.optim.RMSprop, {'centered': True})),
    ):
        run = Run(kind, **options)
        before = copy.deepcopy(run.optimizer.state_dict())
        run.check()
        torch.testing.assert_close(
            run.optimizer.state_dict(), before, atol=0, rtol=0, msg='it was looked at, not taken'
        )
        run.checkpoint['optimizer']['state'] = {}
        run.check()


def test_the_least_and_the_largest_counts_are_resumed():
    run = Run()
    for seed in (0, 2**32 - 1, None):
        for steps in (0, 10**12):
            run.checkpoint['meta'] = {'epoch': steps, 'iter': steps, 'seed': seed}
            run.check()


def change(*path, to):
    """A change at a path into the checkpoint."""

    def apply(checkpoint):
        *way, last = path
        for key in way:
            checkpoint = checkpoint[key]
        if to is remove:
            del checkpoint[last]
        else:
            checkpoint[last] = to(checkpoint[last]) if callable(to) else to

    return apply


def remove():
    """Stands for an entry that is gone."""


REFUSED = [
    (change('meta', to=remove), 'no meta'),
    (change('meta', to=[1]), 'no meta'),
    (change('meta', 'epoch', to=remove), 'meta.epoch is no number of steps'),
    (change('meta', 'epoch', to=-(10**6)), 'meta.epoch is no number of steps'),
    (change('meta', 'iter', to=1.5), 'meta.iter is no number of steps'),
    (change('meta', 'iter', to=10**30), 'meta.iter is no number of steps'),
    (change('meta', 'iter', to=10**12 + 1), 'meta.iter is no number of steps'),
    (change('meta', 'seed', to='text'), 'meta.seed is no seed'),
    (change('meta', 'seed', to=-1), 'meta.seed is no seed'),
    (change('meta', 'seed', to=2**32), 'meta.seed is no seed'),
    (change('message_hub', to=remove), 'no message_hub'),
    (change('message_hub', 'log_scalars', to=remove), 'no log_scalars'),
    (change('message_hub', 'log_scalars', 'train/loss', to=3), 'log_scalars are no logs'),
    (change('message_hub', 'runtime_info', to=[]), 'no runtime_info'),
    (change('message_hub', 'runtime_info', 'best_score', to=float('nan')), 'best_score is no score'),
    (change('message_hub', 'runtime_info', to={1: 2}), 'are no text'),
    (change('message_hub', 'resumed_keys', 'epoch', to='yes'), 'no truth values'),
    (change('ema_state_dict', 'module.0.bias', to=remove), 'moving average does not fit'),
    (change('ema_state_dict', 'module.0.bias', to=lambda t: t[:1]), 'moving average does not fit'),
    (change('ema_state_dict', 'module.0.bias', to=lambda t: t * float('nan')), 'not finite'),
    (change('ema_state_dict', to=3), 'ema_state_dict is none'),
    (change(RUN, to=3), 'mmgcvit_run is none'),
    (change(RUN, 'seed', to=-1), 'mmgcvit_run.seed is no seed'),
    (change(RUN, 'processes', to=remove), 'mmgcvit_run.processes is no number'),
    (change(RUN, 'images', to=0), 'mmgcvit_run.images is no number'),
    (change(RUN, 'accumulated', to=1.5), 'mmgcvit_run.accumulated is no number'),
    (change(RUN, 'epoch_length', to=10**30), 'mmgcvit_run.epoch_length is no number'),
    (change(RUN, 'gradients', to=remove), 'mmgcvit_run.gradients are none'),
    (change(RUN, 'gradients', to=[3]), 'mmgcvit_run.gradients are none'),
    (change(RUN, 'gradients', '0.bias', to=lambda t: t[:1]), 'gradients do not fit the model (0.bias)'),
    (change(RUN, 'gradients', '2.bias', to=torch.zeros(2)), 'gradients do not fit the model (2.bias)'),
    (change(RUN, 'gradients', '0.bias', to=1.0), 'gradients do not fit the model (0.bias)'),
    (change('optimizer', to=[]), 'state is none'),
    (change('optimizer', 'param_groups', to=remove), 'state is none'),
    (change('optimizer', 'state', to=[]), 'state is none'),
    (change('optimizer', 'param_groups', to=lambda groups: groups[1:]), 'different number of parameter groups'),
    (change('optimizer', 'param_groups', 0, to='text'), 'does not fit the run'),
    (change('optimizer', 'param_groups', 0, 'params', to=[0, 1]), 'does not fit the run'),
    (change('optimizer', 'param_groups', 0, 'params', to=['a']), 'no parameter'),
    (change('optimizer', 'param_groups', 0, 'lr', to='fast'), 'lr is none'),
    (change('optimizer', 'param_groups', 0, 'lr', to=float('inf')), 'lr is none'),
    (change('optimizer', 'param_groups', 0, 'lr', to=torch.tensor(float('inf'))), 'lr is none'),
    (change('optimizer', 'param_groups', 0, 'lr', to=torch.tensor([0.1, 0.2])), 'lr is none'),
    (change('optimizer', 'param_groups', 0, 'betas', to=(0.9,)), 'betas is none'),
    (change('optimizer', 'param_groups', 0, 'foreach', to='x'), 'foreach is none'),
    (change('optimizer', 'param_groups', 0, 'lr', to=remove), 'settings are none'),
    (change('optimizer', 'state', 0, 'exp_avg', to=lambda t: t[:1]), 'has the shape'),
    (change('optimizer', 'state', 0, 'exp_avg', to=lambda t: t * float('inf')), 'not finite'),
    (change('optimizer', 'state', 0, 'exp_avg', to='text'), 'exp_avg is no number'),
    (change('optimizer', 'state', 0, 'step', to='text'), 'does not fit the run'),
    (change('optimizer', 'param_groups', 0, 'weight_decay', to=remove), 'groups lack weight_decay'),
    (change('optimizer', 'param_groups', 0, 'betas', to=remove), 'groups lack betas'),
    (change('optimizer', 'state', 0, 'step', to=None), 'does not fit the run'),
    (change('param_schedulers', 0, 'end', to=None), "'s end is none"),
    (change('optimizer', 'state', 0, 'step', to=lambda t: -t), 'step is none'),
    (change('optimizer', 'state', 0, to=3), 'does not fit the run'),
    (change('optimizer', 'state', to=lambda state: {'a': state[0]}), 'no parameter'),
    (change('param_schedulers', to=[]), 'other schedulers'),
    (change('param_schedulers', 0, 'last_step', to='text'), 'last_step is none'),
    (change('param_schedulers', 0, 'last_step', to=remove), 'no LinearLR'),
    (change('param_schedulers', 0, 'step', to=3), 'no LinearLR'),
    (change('param_schedulers', 0, '_last_value', to=['a']), '_last_value is none'),
    (change('param_schedulers', 0, 'param_name', to='text'), 'param_name is none'),
    (change('param_schedulers', 0, 'base_values', to=[0.1] * 9), 'base_values is none'),
]


def test_what_cannot_be_gone_on_from_is_told_in_a_sentence():
    wrong = []
    for number, (apply, reason) in enumerate(REFUSED):
        run = Run()
        apply(run.checkpoint)
        try:
            run.check()
            wrong.append((number, reason, 'accepted'))
        except CheckpointError as refusal:
            said = str(refusal)
            is_sentence = said.startswith('x.pth cannot be resumed: ') and said.endswith('name it as load_from')
            if not is_sentence or reason not in said:
                wrong.append((number, reason, said))
    assert not wrong


def test_a_loss_scaler_is_resumed_or_told():
    run = Run()
    scaler = {'scale': 65536.0, 'growth_factor': 2.0, 'backoff_factor': 0.5, 'growth_interval': 2000}
    for state in ({**scaler, '_growth_tracker': 1}, {}):
        run.checkpoint['optimizer']['loss_scaler'] = state
        run.check()
    for state in ([], {'scale': 'x'}, {'scale': float('nan')}):
        run.checkpoint['optimizer']['loss_scaler'] = state
        with pytest.raises(CheckpointError, match='loss scaler'):
            run.check()


def test_another_optimizers_state_is_told():
    run = Run(torch.optim.SGD, momentum=0.9)
    run.optimizer = Run().optimizer
    with pytest.raises(CheckpointError, match='cannot be resumed'):
        run.check()
