"""The hook compiles the backbone and nothing else, and keeps the keys of checkpoints."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from packaging.version import Version
from torch import nn

from mmgcvit import GCViT
from mmgcvit.registry import HOOKS

from ..models.contract.backbones import GCVIT


@pytest.mark.skipif(Version(torch.__version__) < Version('2.4'), reason='the backbone compiles from torch 2.4 on')
def test_the_backbone_is_one_graph_and_the_keys_stay():
    model = nn.Module()
    model.backbone, model.head = GCViT(GCVIT), nn.Conv2d(64, 1, 1)
    model.eval()
    images, keys, graphs = torch.rand(1, 3, 64, 64), list(model.state_dict()), []
    expected = model.backbone(images)

    def record_graph(graph, _):
        graphs.append(graph)
        return graph

    HOOKS.build({'type': 'CompileBackboneHook', 'backend': record_graph}).before_train(SimpleNamespace(model=model))
    for output, value in zip(model.backbone(images), expected, strict=True):
        torch.testing.assert_close(output, value, rtol=1e-3, atol=1e-5)  # other kernels
    assert len(graphs) == 1
    assert list(model.state_dict()) == keys
    deepcopy(model)  # as EMAHook does
