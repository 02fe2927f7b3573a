"""The pages of docs/why_global_queries.md: what windows alone see of them, and their metric."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmgcvit.config import enter_scope
from mmgcvit.registry import MODELS

from ..conftest import ROOT

FOLDER = ROOT / 'docs' / 'extensions' / 'pages'


@pytest.fixture
def pages(monkeypatch):
    """The module of the pages."""
    monkeypatch.syspath_prepend(FOLDER)
    import pages_of_digits

    return pages_of_digits


def test_local_windows_alone_see_one_digit_of_a_page(pages):
    """Its output at a digit's pixels has no gradient with respect to other cells; all other rows have one."""
    cfg, seen, cell = Config.fromfile(FOLDER / 'config.py'), {}, pages.PAGE_SIZE // pages.CELLS
    enter_scope(cfg)
    inner, side = slice(cell + pages.MARGIN, 2 * cell - pages.MARGIN), slice(cell, 2 * cell)
    for name in ('SwinWithoutShifting', 'SwinWithGlobalQuery', 'GCViTLocal', 'GCViT'):
        backbone = MODELS.build({**cfg.model.backbone, 'type': f'mmgcvit.{name}'})
        images = torch.rand(1, 3, pages.PAGE_SIZE, pages.PAGE_SIZE, requires_grad=True)
        found = F.interpolate(backbone(images)[0], images.shape[2:], mode='bilinear')  # as the linear head's scores
        found[..., inner, inner].square().sum().backward()
        images.grad[..., side, side] = 0
        seen[name] = images.grad.abs().max() > 0
    assert [name for name, others in seen.items() if not others] == ['SwinWithoutShifting']


def test_group_accuracy_is_the_mean_over_classes_and_ignores_unlabelled_pixels(pages):
    metric = pages.GroupAccuracy({'ab': ('a', 'b'), 'c': ('c',)})
    metric.dataset_meta = {'classes': ('a', 'b', 'c')}
    gt = torch.tensor([[0, 0, 0, 0, 1, 2, 255, 255], [0, 0, 0, 0, 1, 2, 2, 2]])
    pred = torch.tensor([[0, 0, 0, 1, 1, 2, 0, 0], [0, 0, 0, 2, 0, 0, 0, 0]])
    for g, p in zip(gt, pred, strict=True):
        data = {name: {'data': x.view(1, 2, 4)} for name, x in (('gt_sem_seg', g), ('pred_sem_seg', p))}
        metric.process(None, [data])
    # Correct pixels: 6 of 8 of class a, 1 of 2 of b, 1 of 4 of c.
    assert metric.evaluate(size=2) == {'accuracy/ab': 62.5, 'accuracy/c': 25.0}
