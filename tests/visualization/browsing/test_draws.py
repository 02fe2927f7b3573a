"""Samples as networks get them: what is shown is what the host's pipeline and preprocessor make."""

import numpy as np
import pytest
from mmengine.runner import set_random_seed
from PIL import Image

from mmgcvit.datasets.checks.contact_sheet import CAPTION, CELL
from mmgcvit.inference import UserError
from mmgcvit.visualization import browsing as sheets
from mmgcvit.visualization.browsing import Samples, classes_of, fitted, sheets_of, words_of

from .conftest import CONFIGS

TRAIN, VAL = 'train_dataloader', 'val_dataloader'


@pytest.fixture(params=CONFIGS)
def name(request):
    return request.param


@pytest.fixture
def samples(cfg_of, name):
    return Samples(cfg_of(name), TRAIN)


@pytest.mark.parametrize('unmixed', ['detection', 'segmentation'])
def test_pixels_are_those_of_the_pipeline(cfg_of, unmixed):
    """Normalised, padded, and denormalised again, in red, green, blue."""
    samples = Samples(cfg_of(unmixed), TRAIN)
    (drawn,) = samples.drawn([2], seed=5)
    set_random_seed(5)
    expected = samples.dataset[2]['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
    height, width = expected.shape[:2]
    np.testing.assert_array_equal(drawn.pixels[:height, :width], expected)


def test_images_are_red_green_blue_as_in_their_files(cfg_of, digits):
    samples = Samples(cfg_of('segmentation'), VAL)
    (drawn,) = samples.drawn([0], seed=0)
    with Image.open(drawn.truth.img_path) as stored:
        expected = np.asarray(stored.convert('RGB'), np.float64)
    # Decoders differ a little.
    assert abs(drawn.pixels - expected).mean() < 2 < abs(drawn.pixels - expected[..., ::-1]).mean()


def test_a_seed_gives_the_same_draws_and_another_one_others(samples):
    numbers = samples.chosen(3, seed=1)
    assert numbers == samples.chosen(3, seed=1)
    first, again, other = (samples.drawn(numbers, seed) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)
    assert any(
        one.pixels.shape != two.pixels.shape or (one.pixels != two.pixels).any()
        for one, two in zip(first, other, strict=True)
    )


def test_the_original_is_the_sample_that_is_drawn(samples, name):
    """Through wrappers that repeat and mix."""
    for number in samples.chosen(3, seed=0):
        stored = samples.original(number).truth
        (drawn,) = samples.drawn([number], seed=0)
        assert stored.img_path == drawn.truth.img_path


def test_a_mosaic_has_more_objects_than_its_image(cfg_of):
    samples = Samples(cfg_of('mosaic'), TRAIN)
    numbers = range(len(samples.dataset))
    stored = sum(len(samples.original(number).truth.gt_instances) for number in numbers)
    drawn = sum(len(sample.truth.gt_instances) for sample in samples.drawn(list(numbers), seed=0))
    assert drawn > stored


def test_mixed_images_say_their_classes_and_shares(cfg_of):
    samples = Samples(cfg_of('classification'), TRAIN)
    drawn = [sample for seed in range(4) for sample in samples.drawn(samples.chosen(4, seed), seed)]
    for sample in drawn:
        assert float(sample.truth.gt_score.sum()) == pytest.approx(1, abs=1e-5)
        assert classes_of(sample.truth, samples.metainfo) in words_of(sample, samples)
    assert any('%' in words_of(sample, samples) for sample in drawn)


def test_nothing_is_mixed_in_validation(cfg_of):
    samples = Samples(cfg_of('classification'), VAL)
    one, two = (samples.drawn([0, 1], seed) for seed in (0, 1))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.pixels, second.pixels)


def test_what_is_drawn_is_scaled_with_its_image(samples):
    for sample in samples.drawn(samples.chosen(2, seed=0), seed=0):
        small = fitted(sample)
        height, width = small.pixels.shape[:2]
        assert (width == CELL[0]) or (height == CELL[1])
        assert width <= CELL[0]
        assert height <= CELL[1]
        if samples.kind == 'coco':
            factor = width / sample.pixels.shape[1]
            boxes = sample.truth.gt_instances.bboxes
            np.testing.assert_allclose(small.truth.gt_instances.bboxes, boxes * factor, rtol=0.01)
        if samples.kind == 'ade20k':
            assert small.truth.gt_sem_seg.data.shape == (1, height, width)
            assert set(small.truth.gt_sem_seg.data.unique().tolist()) <= set(
                sample.truth.gt_sem_seg.data.unique().tolist()
            )


def test_a_sheet_has_a_row_for_each_sample_and_a_column_for_each_draw(cfg_of, monkeypatch):
    monkeypatch.setattr(sheets, 'ROWS', 2)
    found = sheets_of(Samples(cfg_of('segmentation'), TRAIN), [0, 1, 2], draws=1, seed=0)
    assert [sheet.size for sheet in found] == [(2 * CELL[0], rows * (CELL[1] + CAPTION)) for rows in (2, 1)]


def test_a_damaged_image_is_named(cfg_of, tmp_path):
    cfg = cfg_of('classification')
    folder = tmp_path / 'train' / '0'
    folder.mkdir(parents=True)
    (folder / 'broken.jpg').write_bytes(b'no image')
    cfg.train_dataloader.dataset.update(data_root=str(tmp_path), metainfo={'classes': ('0',)})
    samples = Samples(cfg, TRAIN)
    with pytest.raises(UserError, match=r'broken\.jpg cannot be loaded'):
        samples.original(0)


def test_a_data_set_that_cannot_be_loaded_is_a_sentence(cfg_of):
    cfg = cfg_of('detection')
    cfg.train_dataloader.dataset.ann_file = 'nowhere.json'
    with pytest.raises(UserError, match=r'train_dataloader cannot be loaded.*check-data'):
        Samples(cfg, TRAIN)
