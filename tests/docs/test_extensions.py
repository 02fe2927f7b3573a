"""docs/extensions: windows alone see one digit of a page of digits."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmgcvit.host.config import enter_scope
from mmgcvit.registry import MODELS

from ..conftest import ROOT

PAGES = ROOT / 'docs' / 'extensions' / 'pages'


@pytest.mark.parametrize(
    'name', ['SwinWithoutShifting', 'SwinWithGlobalQuery', 'GCViTLocal', 'GCViT']
)
def test_local_windows_alone_see_one_digit_of_a_page(name, monkeypatch):
    """Its output at a digit's pixels has no gradient with respect to other cells; all other rows
    have one.
    """
    monkeypatch.syspath_prepend(PAGES)
    import pages_of_digits as pages

    cfg = Config.fromfile(PAGES / 'config.py')
    cell = pages.PAGE_SIZE // pages.CELLS
    enter_scope(cfg)
    inner = slice(cell + pages.MARGIN, 2 * cell - pages.MARGIN)
    side = slice(cell, 2 * cell)
    backbone = MODELS.build({**cfg.model.backbone, 'type': f'mmgcvit.{name}'})
    images = torch.rand(1, 3, pages.PAGE_SIZE, pages.PAGE_SIZE, requires_grad=True)
    # As the linear head's scores.
    scores = F.interpolate(backbone(images)[0], images.shape[2:], mode='bilinear')
    scores[..., inner, inner].square().sum().backward()
    images.grad[..., side, side] = 0
    assert images.grad.any() == (name != 'SwinWithoutShifting')
