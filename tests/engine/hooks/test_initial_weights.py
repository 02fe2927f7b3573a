"""What a training takes of ``load_from`` is completed by the model's values, and said."""

from unittest import mock

import torch
from torch import nn

from mmgcvit.checkpoints.class_rows import InitialWeights
from mmgcvit.engine.hooks.initial_weights import InitialWeightsHook
from mmgcvit.engine.hooks.progress import SHOWN


def test_what_was_loaded_is_said_with_progress_too():
    """mmengine gets a complete state dict, and lists no missing keys."""
    model = nn.Linear(1, 1)
    runner = mock.Mock(model=model)
    checkpoint = {'state_dict': {'weight': torch.full((1, 1), 7.0)}}
    hook = InitialWeightsHook(InitialWeights('2 tensors loaded', {}))
    hook.after_load_checkpoint(runner, checkpoint)
    assert runner.logger.info.call_args == mock.call('2 tensors loaded', extra=SHOWN)
    assert checkpoint['state_dict'] == {'weight': torch.tensor([[7.0]]), 'bias': model.bias}
