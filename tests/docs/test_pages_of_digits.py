"""The pages of docs/why_global_queries.md: what windows alone see of them."""

import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmgcvit.config import enter_scope
from mmgcvit.registry import MODELS

from ..conftest import ROOT

FOLDER = ROOT / 'docs' / 'extensions' / 'pages'


def test_local_windows_alone_see_one_digit_of_a_page(monkeypatch):
    """Its output at a digit's pixels has no gradient with respect to other cells; all other rows have one."""
    monkeypatch.syspath_prepend(FOLDER)
    import pages_of_digits as pages

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
