"""Contact sheets of data sets: samples of each, what is annotated drawn in; what is damaged is left out."""

import numpy as np

from mmgcvit.hosts.configs import enter_scope
from mmgcvit.inference.loading import model_of_config
from mmgcvit.visualization.browsing import Samples, contact_sheet, original, sample_cell
from mmgcvit.visualization.sheets import CAPTION, CELL, COLUMNS

from ..configs.own_data import NUM_VAL, TEMPLATES, own


def sheet_of(cfg):
    enter_scope(cfg)
    return np.array(contact_sheet(cfg, ['train_dataloader', 'val_dataloader']))


def test_the_contact_sheet_shows_samples_of_each_data_set(tmp_path):
    """A row of each, in other colours than white where there is a sample and in white where there is none."""
    for name in TEMPLATES:
        sheet = sheet_of(own(name, tmp_path / name))
        assert sheet.shape == (2 * (CELL[1] + 2 * CAPTION), COLUMNS * CELL[0], 3), name
        last_row = sheet[-CELL[1] - CAPTION : -CAPTION]
        assert (last_row[:, : NUM_VAL * CELL[0]] < 255).any(-1).mean() > 0.9, name
        assert (last_row[:, NUM_VAL * CELL[0] :] == 255).all(), name


def test_a_sheet_shows_what_is_annotated_and_leaves_out_what_is_damaged(tmp_path):
    cfg = own('custom_coco', tmp_path)
    sheet = sheet_of(cfg)
    path = tmp_path / 'annotations' / 'train.json'
    path.write_text(path.read_text().replace('"bbox": [50, 20', '"bbox": [44, 20'))
    assert (sheet != sheet_of(cfg)).any()
    (tmp_path / 'train' / '1.jpg').write_text('no image')
    (tmp_path / 'annotations' / 'val.json').write_text('{')
    sheet = sheet_of(cfg)
    assert sheet.shape[0] == CELL[1] + 3 * CAPTION
    assert (sheet[CAPTION : CAPTION + CELL[1], 3 * CELL[0] :] == 255).all()


def test_a_class_has_the_colour_that_predictions_have(tmp_path):
    """In contact sheets, and in sheets of what the network gets."""
    for name in ('custom_coco', 'custom_seg'):
        cfg = own(name, tmp_path / name)
        # Of a segmentor's classes only those are certain to have room for their names.
        palette = model_of_config(cfg, name).palette[-2:]
        sheet = sheet_of(cfg)
        samples = Samples(cfg, 'val_dataloader')
        cell = np.array(sample_cell(original(samples.stored, 0), samples.metainfo, ''))
        for picture in (sheet, cell):
            for colour in palette:
                assert (picture == colour).all(-1).any(), (name, colour)
