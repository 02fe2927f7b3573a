"""Samples as networks get them: what is shown is what the host's pipeline and preprocessor make; sheets of them."""

import cv2
import numpy as np
import pytest
from mmengine.runner import set_random_seed
from PIL import Image

from mmgcvit.errors import UserError
from mmgcvit.visualization import browsing
from mmgcvit.visualization.browsing import Samples, classes_of, original, sample_cell, words_of
from mmgcvit.visualization.sheets import CAPTION, CELL

from .conftest import CONFIGS

TRAIN, VAL = 'train_dataloader', 'val_dataloader'


@pytest.mark.parametrize('unmixed', ['detection', 'segmentation'])
def test_pixels_are_those_of_the_pipeline(cfg_of, unmixed):
    """Normalised, padded, and denormalised again, in red, green, blue."""
    samples = Samples(cfg_of(unmixed), TRAIN)
    (drawn,) = samples.drawn([2], seed=5)
    set_random_seed(5)
    expected = samples.dataset[2]['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
    height, width = expected.shape[:2]
    np.testing.assert_array_equal(drawn.pixels[:height, :width], expected)


def test_images_that_are_loaded_as_decimal_numbers_are_the_same(cfg_of):
    """As in mmdet's recipe of Mask2Former."""
    cfg = cfg_of('detection')
    as_stored = original(Samples(cfg, VAL).stored, 0)
    cfg[VAL].dataset.pipeline[0].to_float32 = True
    found = original(Samples(cfg, VAL).stored, 0)
    assert found.pixels.dtype == np.uint8
    np.testing.assert_array_equal(found.pixels, as_stored.pixels)


def test_images_are_red_green_blue_as_in_their_files(cfg_of):
    samples = Samples(cfg_of('segmentation'), VAL)
    (drawn,) = samples.drawn([0], seed=0)
    with Image.open(drawn.truth.img_path) as stored:
        expected = np.asarray(stored.convert('RGB'), np.float64)
    # Decoders differ a little.
    assert abs(drawn.pixels - expected).mean() < 2 < abs(drawn.pixels - expected[..., ::-1]).mean()


@pytest.mark.parametrize('name', CONFIGS)
def test_draws_are_of_the_stored_sample_and_fill_a_cell(cfg_of, name):
    """Through wrappers that repeat and mix; a seed gives the same draws again, another one others."""
    samples = Samples(cfg_of(name), TRAIN)
    numbers = samples.chosen(3, seed=1)
    assert numbers == samples.chosen(3, seed=1)
    first, again, other = (samples.drawn(numbers, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one.pixels, two.pixels) for one, two in zip(first, again, strict=True))
    assert any(not np.array_equal(one.pixels, two.pixels) for one, two in zip(first, other, strict=True))
    if name == 'mosaic':
        stored = sum(len(original(samples.stored, number).truth.gt_instances) for number in numbers)
        assert sum(len(sample.truth.gt_instances) for sample in first) > stored
    for number, sample in zip(numbers, first, strict=True):
        assert original(samples.stored, number).truth.img_path == sample.truth.img_path
        cell = np.array(sample_cell(sample, samples.metainfo, ''))
        assert cell.shape == (CELL[1] + CAPTION, CELL[0], 3)
        white = (cell[: CELL[1]] == 255).all(-1)
        # The image fills the cell in one direction.
        assert not white.all(0).any() or not white.all(1).any()


def test_mixed_images_say_their_classes_and_shares_and_validation_mixes_nothing(cfg_of):
    samples = Samples(cfg_of('classification'), TRAIN)
    drawn = [sample for seed in range(4) for sample in samples.drawn(samples.chosen(4, seed), seed)]
    for sample in drawn:
        assert float(sample.truth.gt_score.sum()) == pytest.approx(1, abs=1e-5)
        assert classes_of(sample.truth, samples.metainfo) in words_of(sample, samples)
    assert any('%' in words_of(sample, samples) for sample in drawn)
    samples = Samples(cfg_of('classification'), VAL)
    one, two = (samples.drawn([0, 1], seed) for seed in (0, 1))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.pixels, second.pixels)


def test_damaged_data_are_named(cfg_of, tmp_path):
    cfg = cfg_of('classification')
    folder = tmp_path / 'train' / '0'
    folder.mkdir(parents=True)
    (folder / 'broken.jpg').write_bytes(b'no image')
    cfg.train_dataloader.dataset.update(data_root=str(tmp_path), metainfo={'classes': ('0',)})
    samples = Samples(cfg, TRAIN)
    with pytest.raises(UserError, match=r'broken\.jpg cannot be loaded'):
        original(samples.stored, 0)
    cfg = cfg_of('detection')
    cfg.train_dataloader.dataset.ann_file = 'nowhere.json'
    with pytest.raises(UserError, match=r'train_dataloader cannot be loaded.*check-data'):
        Samples(cfg, TRAIN)


def test_the_command_writes_sheets_without_an_empty_cell(call, configs, tmp_path, monkeypatch):
    """A row for each sample, so many on a sheet; a column for each draw."""
    monkeypatch.setattr(browsing, 'ROWS', 2)
    printed = call('browse', configs['mosaic'], '--number', 3, '--draws', 2)[1]
    assert all(f'browse/train_0{number}.jpg' in printed for number in (1, 2))
    assert cv2.imread(str(tmp_path / 'browse' / 'train_02.jpg')).shape == (CELL[1] + CAPTION, 3 * CELL[0], 3)
    sheet = cv2.imread(str(tmp_path / 'browse' / 'train_01.jpg'))
    assert sheet.shape == (2 * (CELL[1] + CAPTION), 3 * CELL[0], 3)
    for row in range(2):
        for column in range(3):
            top, left = row * (CELL[1] + CAPTION), column * CELL[0]
            assert sheet[top : top + CELL[1], left : left + CELL[0]].std() > 5


def test_the_command_overwrites_nothing_unasked_and_refuses_in_a_sentence(call, configs):
    config = configs['classification']
    one = [config, '--number', 1, '--draws', 1]
    call('browse', *one, '--split', 'val')
    assert '--overwrite' in call('browse', *one, '--split', 'val', '--out-dir', 'browse')[1]
    assert 'browse/val_01.jpg' in call('browse', *one, '--split', 'val', '--overwrite')[1]
    assert 'browse2/train_01.jpg' in call('browse', *one)[1]
    missing = 'train_dataloader.dataset.data_root=nowhere/digits/imagenet'
    for arguments, message in (
        (['--number', -1], '--number -1: expected at least'),
        (['--draws', -1], '--draws -1: expected at least'),
        (['--seed', -1], '--seed -1: expected at least'),
        (['--out-dir', '/proc/x'], '--out-dir /proc/x cannot be written'),
        (['--cfg-options', missing], 'The data set is not at'),
    ):
        code, printed = call('browse', config, '--overwrite', *arguments)
        assert code
        assert message in printed
