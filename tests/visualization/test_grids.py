"""Contact sheets show samples of each data set with their annotations; samples that cannot be loaded are left out."""

import numpy as np
import pytest

from mmgcvit.config import enter_scope
from mmgcvit.visualization.grids import draw_contact_sheet, draw_grid

from ..configs.own_data import TEMPLATES, own


def sheet_of(cfg):
    enter_scope(cfg)
    return draw_contact_sheet(cfg, ['train_dataloader', 'val_dataloader'])


@pytest.mark.parametrize('name', TEMPLATES)
def test_a_contact_sheet_shows_samples(name, tmp_path):
    sheet = sheet_of(own(name, tmp_path))
    assert sheet.shape[1] > 1600
    assert (sheet < 255).any(-1).mean() > 0.3


def test_a_contact_sheet_shows_annotations_and_leaves_out_what_cannot_be_loaded(tmp_path):
    cfg = own('custom_coco', tmp_path)
    sheet = sheet_of(cfg)
    path = tmp_path / 'annotations' / 'train.json'
    path.write_text(path.read_text().replace('"bbox": [50, 20', '"bbox": [44, 20'))
    assert (sheet != sheet_of(cfg)).any()
    (tmp_path / 'annotations' / 'val.json').write_text('{')
    assert sheet_of(cfg).shape[0] < sheet.shape[0]


def test_titles_of_any_length_fit_above_pictures():
    pictures = [np.zeros((300, 400, 3), np.uint8)] * 3
    grid = draw_grid(pictures, ['word ' * 60, 'Ölkännchen', ''], columns=2)
    assert grid.shape[1] == 832
    assert grid.shape[0] > 2 * 300
