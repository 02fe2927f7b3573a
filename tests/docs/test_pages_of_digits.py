"""The pages of docs/why_global_queries.md: what they show, what windows alone see of them, and their metric."""

from collections import Counter

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmgcvit.config import enter_scope
from mmgcvit.datasets.digits import DIGIT_INK, SceneComposer
from mmgcvit.registry import MODELS

from ..conftest import ROOT

FOLDER = ROOT / 'docs' / 'extensions' / 'pages'
NUM_PAGES = 400


@pytest.fixture
def pages(monkeypatch):
    """The module of the pages."""
    monkeypatch.syspath_prepend(FOLDER)
    import pages_of_digits

    return pages_of_digits


def crop(mask):
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def is_turned(pages, ink, mask):
    """Return whether the mask is the scan rotated by 180 degrees, in any of the possible sizes."""
    inside = pages.PAGE_SIZE // pages.CELLS - 2 * pages.MARGIN
    for side in range(inside * pages.SMALLEST // 16, inside * pages.LARGEST // 16 + 1):
        shape = crop(cv2.resize(ink, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1) >= DIGIT_INK)
        for turned, expected in ((False, shape), (True, shape[::-1, ::-1])):
            if np.array_equal(expected, crop(mask)):
                return turned
    raise AssertionError('no mask of this scan')


def test_only_3_and_7_show_the_orientation_and_each_digit_has_its_own_cell(pages):
    composer, counts, cell = SceneComposer('train', pages.PAGE_SIZE), Counter(), pages.PAGE_SIZE // pages.CELLS
    for _ in range(NUM_PAGES):
        page = pages.compose_page(composer)
        (upside_down,) = {label % 2 for label in page.labels}
        assert not pages.label_page(page)[~page.masks.any(0)].any()
        assert len({(*(np.argwhere(mask)[0] // cell),) for mask in page.masks}) == len(page.labels)
        for label, scan, mask in zip(page.labels, page.scans, page.masks, strict=True):
            turned = is_turned(pages, composer.ink[scan], mask)
            assert {*pages.label_page(page)[mask]} == {1 + label}
            low, high = np.argwhere(mask).min(0), np.argwhere(mask).max(0)
            assert ((low // cell == high // cell) & (low % cell >= pages.MARGIN)).all()
            assert (high % cell < cell - pages.MARGIN).all()
            if label < 2:
                assert composer.digits[scan] in pages.ORIENTED_DIGITS
                assert turned == upside_down
            else:
                assert composer.digits[scan] == 6
                counts[turned, upside_down] += 1
    # If all 4 on a page were alike, a fraction of 1/4 would have the standard deviation sqrt(3 / 16 / NUM_PAGES).
    assert len(counts) == 4
    assert all(abs(count / counts.total() - 0.25) < 5 * 0.022 for count in counts.values())


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
