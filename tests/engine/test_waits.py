"""No training step of this package waits for the device, so that the host is always ahead of it."""

import pytest
import torch

from mmgcvit import GCViT

from .waits import waits_of

# What a step of a classifier has beside: of the iteration before, and what is on the CPU whatever trains.
NO_WAITS = (
    *('mmgcvit/engine/hooks/async_loss_log.py', 'mmengine/model/averaged_model.py', 'mmengine/model/utils.py'),
    # torch looks at labels on CPUs only.
    'mmpretrain/structures/utils.py',
)


# Read an iteration later; RoIAlign by products, which CPUs alone take.
LATER_OR_NEVER = ('mmgcvit/engine/hooks/async_loss_log', 'mmgcvit/ops/fallback.py')


def ours(waits):
    return [line for line in waits.found if line.startswith('mmgcvit/') and not line.startswith(LATER_OR_NEVER)]


@pytest.mark.skipif(torch.__version__.startswith('2.1.'), reason='it has no fused AdamW for CPUs')
def test_a_classifiers_step_waits_nowhere_and_the_numbers_of_the_one_before_are_read(tmp_path):
    waits = waits_of('gcvit_xxt_in1k', tmp_path, iterations=8)
    assert [line for line in waits.found if not line.startswith(NO_WAITS)] == []
    read = sum(count for line, count in waits.found.items() if line.endswith('read: tolist'))
    assert read == 5 + 1, 'losses in each of the iterations counted, the verdict in one: a step has four of them'


def test_a_number_read_in_a_forward_pass_is_found(tmp_path, monkeypatch):
    forward = GCViT.forward
    monkeypatch.setattr(GCViT, 'forward', lambda self, images: forward(self, images * images.mean().item()))
    assert any(line.endswith('<lambda>: _local_scalar_dense') for line in waits_of('gcvit_xxt_in1k', tmp_path).found)


@pytest.mark.long
@pytest.mark.parametrize('name', ['upernet_gcvit_t', 'mask_rcnn_gcvit_t', 'mask_rcnn_lsa_s'])
def test_of_a_steps_waits_with_a_detectors_or_segmentors_heads_none_is_this_packages(name, tmp_path):
    torch.manual_seed(0)
    waits = waits_of(name, tmp_path)
    assert ours(waits) == []
    assert waits.found, 'heads wait'
