"""Images are not mirrored where class names tell left from right, and the user is told so."""

import pytest
from mmengine.config import Config

from mmgcvit.datasets.mirroring import explain_mirroring, find_mirroring
from mmgcvit.errors import UserError
from mmgcvit.own.training.options import make_options


@pytest.mark.parametrize(
    ('classes', 'reason'),
    [
        (['left hand', 'right hand'], 'a mirror swaps left hand and right hand'),
        (['Right_Kidney', 'liver', 'Left-Kidney'], 'a mirror swaps Left-Kidney and Right_Kidney'),
        (['handLeft', 'handRight'], 'a mirror swaps handLeft and handRight'),
        (['pfeil links', 'pfeil rechts'], 'a mirror swaps pfeil links and pfeil rechts'),
        (['eye_l', 'eye_r', 'nose'], 'a mirror swaps eye_l and eye_r'),
        (['background', 'A', 'B', 'b'], 'a mirror changes letters and digits (A, B, b)'),
        (list('0123456789'), 'a mirror changes letters and digits (0, 1, 2, ...)'),
    ],
)
def test_names_say_that_a_mirror_is_wrong(classes, reason):
    assert explain_mirroring(classes) == reason


@pytest.mark.parametrize(
    'classes',
    [
        ['cat', 'dog'],
        ['left hand', 'hand'],  # no class is its mirror image
        ['left', 'copyright'],
        ['left hand 1', 'right hand 2'],
        ['x', 'cell'],
        ['bright', 'cleft'],
        [],
    ],
)
def test_other_names_say_nothing(classes):
    assert explain_mirroring(classes) == ''


FLIP = {'type': 'RandomFlip', 'prob': 0.5}


@pytest.mark.parametrize(
    ('flip', 'classes', 'is_told'),
    [
        (FLIP, ('left', 'right'), True),
        (FLIP | {'type': 'mmcv.RandomFlip', 'direction': ['horizontal', 'vertical']}, '01', True),
        (FLIP | {'direction': 'vertical'}, ('left', 'right'), False),
        (FLIP | {'prob': 0.0}, ('left', 'right'), False),
        (FLIP, ('cat', 'dog'), False),
    ],
)
def test_a_config_that_mirrors_such_classes_is_told(flip, classes, is_told):
    dataset = {'metainfo': {'classes': tuple(classes)}, 'pipeline': [flip]}
    cfg = Config({'train_dataloader': {'dataset': {'type': 'RepeatDataset', 'dataset': dataset}}})
    notes = find_mirroring(cfg)
    assert len(notes) == is_told
    assert not notes or 'flip = False' in notes[0]


@pytest.mark.parametrize('other', [{'no_flip': True}, {'augment': 'none'}])
def test_flip_beside_its_opposite_is_an_error(other):
    with pytest.raises(UserError, match='Remove one of them'):
        make_options(flip=True, **other)
