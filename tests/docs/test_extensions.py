"""docs/extensions: the page shows a model's predictions, and windows alone see one digit of a page
of digits.
"""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

import mmgcvit
from mmgcvit.config import enter_scope
from mmgcvit.registry import MODELS

from ..conftest import ROOT

DEMO, EXTENSIONS = ROOT / 'configs' / 'demo', ROOT / 'docs' / 'extensions'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'arguments', 'size'),
    [
        ('mask_rcnn_gcvit_digits', [0.3], 5),
        ('upernet_gcvit_digits', [], 6),
        ('gcvit_digits_cls', [], 10),
    ],
)
def test_page_draws_a_picture_and_summarises_it(name, arguments, size, monkeypatch):
    pytest.importorskip('gradio')
    monkeypatch.syspath_prepend(EXTENSIONS)
    import page

    model = mmgcvit.load(DEMO / f'{name}.py')
    picture, summary = page.build_page(model).fn(
        str(ROOT / 'docs' / 'images' / 'digits.jpg'), *arguments
    )
    assert picture.shape[2] == 3
    assert len(summary) == size


@pytest.mark.parametrize(
    'name', ['SwinWithoutShifting', 'SwinWithGlobalQuery', 'GCViTLocal', 'GCViT']
)
def test_local_windows_alone_see_one_digit_of_a_page(name, monkeypatch):
    """Its output at a digit's pixels has no gradient with respect to other cells; all other rows
    have one.
    """
    monkeypatch.syspath_prepend(folder := EXTENSIONS / 'pages')
    import pages_of_digits as pages

    cfg, cell = Config.fromfile(folder / 'config.py'), pages.PAGE_SIZE // pages.CELLS
    enter_scope(cfg)
    inner, side = slice(cell + pages.MARGIN, 2 * cell - pages.MARGIN), slice(cell, 2 * cell)
    backbone = MODELS.build({**cfg.model.backbone, 'type': f'mmgcvit.{name}'})
    images = torch.rand(1, 3, pages.PAGE_SIZE, pages.PAGE_SIZE, requires_grad=True)
    # As the linear head's scores.
    scores = F.interpolate(backbone(images)[0], images.shape[2:], mode='bilinear')
    scores[..., inner, inner].square().sum().backward()
    images.grad[..., side, side] = 0
    assert images.grad.any() == (name != 'SwinWithoutShifting')
