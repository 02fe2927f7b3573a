"""Contact sheets show samples of each dataset with their annotations; samples that cannot be loaded are left out."""

import numpy as np
import pytest

from mmgcvit.config import enter_scope
from mmgcvit.evaluation.grids import draw_contact_sheet, draw_grid

from ..configs.templates import TEMPLATES, own


@pytest.mark.parametrize('name', TEMPLATES)
def test_a_contact_sheet_shows_samples_and_skips_datasets_that_cannot_load(name, tmp_path):
    cfg = own(name, tmp_path)
    enter_scope(cfg)
    sheet = draw_contact_sheet(cfg, ['train_dataloader', 'val_dataloader'])
    assert sheet.shape[1] > 1600
    assert (sheet < 255).any(-1).mean() > 0.3
    if name == 'custom_coco':
        path = tmp_path / 'annotations' / 'train.json'
        path.write_text(path.read_text().replace('"bbox": [50, 20', '"bbox": [44, 20'))
        assert (sheet != draw_contact_sheet(cfg, ['train_dataloader', 'val_dataloader'])).any()
        (tmp_path / 'annotations' / 'val.json').write_text('{')
        assert draw_contact_sheet(cfg, ['train_dataloader', 'val_dataloader']).shape[0] < sheet.shape[0]


def test_titles_of_any_length_fit_above_pictures():
    """The border of the grid is white, so no title is cut off."""
    grid = draw_grid([(title, np.zeros((300, 400, 3), np.uint8)) for title in ('word ' * 60, 'Ölkännchen', '')], 2)
    assert (grid[:2] == 255).all()
    assert (grid[2:40] < 128).any()
