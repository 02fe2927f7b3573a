"""What makes a detector's losses not finite is taken out of its data; what is left shows in the losses, in no error."""

import json

import numpy as np
import pytest
import torch
from mmdet.models.task_modules import HungarianAssigner as MMDetHungarianAssigner
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import TASK_UTILS, init_default_scope
from mmengine.structures import InstanceData
from PIL import Image

from ..conftest import ROOT
from .test_float32 import small_detector, truth  # noqa: F401

BOX = [100, 100, 60, 60]
# By name: width and height of the file, those that the annotations give, the orientation in EXIF.
ODD = {
    'plain': ((320, 240), (320, 240), 1),
    'turned, annotated as stored': ((320, 240), (320, 240), 6),
    'turned, annotated as shown': ((320, 240), (240, 320), 8),
    'one pixel': ((1, 1), (320, 240), 1),
    'one row': ((320, 1), (320, 240), 1),
    'one column': ((1, 240), (320, 240), 1),
    'half as large': ((160, 80), (320, 240), 1),
}
KEEP_THEIR_BOX = ('plain', 'turned, annotated as stored', 'turned, annotated as shown')


@pytest.fixture(scope='module')
def odd_images(tmp_path_factory):
    """A data set of COCO's format with a box in each image, which only some of the files have."""
    folder = tmp_path_factory.mktemp('odd')
    (folder / 'train2017').mkdir()
    (folder / 'annotations').mkdir()
    content = {'images': [], 'annotations': [], 'categories': [{'id': 1, 'name': 'person'}]}
    x, y, w, h = BOX
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    for number, (size, annotated, orientation) in enumerate(ODD.values()):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new('RGB', size).save(folder / 'train2017' / f'{number}.jpg', exif=exif)
        width, height = annotated
        content['images'].append({'id': number, 'file_name': f'{number}.jpg', 'width': width, 'height': height})
        instance = {'image_id': number, 'category_id': 1, 'iscrowd': 0, 'area': w * h}
        content['annotations'].append({'id': number + 1, 'bbox': BOX, 'segmentation': outline, **instance})
    (folder / 'annotations' / 'instances_train2017.json').write_text(json.dumps(content))
    return folder


def training_set(config, folder, left_out=()):
    settings = Config.fromfile(ROOT / 'configs' / f'{config}.py').train_dataloader.dataset
    init_default_scope('mmdet')
    settings.update(data_root=f'{folder}/', metainfo={'classes': ('person',)}, filter_cfg=None)
    settings.pipeline = [step for step in settings.pipeline if step.type not in left_out]
    return DATASETS.build(settings)


def sides_of_boxes(dataset, index, tries=20):
    """Widths and heights of all boxes that an image gets in several rounds of augmentation."""
    sides = []
    for seed in range(tries):
        np.random.seed(seed)
        sample = dataset.pipeline(dataset.get_data_info(index))['data_samples']
        boxes = sample.gt_instances.bboxes.tensor
        sides += (boxes[:, 2:] - boxes[:, :2]).tolist()
    return sides


@pytest.mark.parametrize('config', ['mask_rcnn_gcvit_t', 'dino_gcvit_t_12e'])
@pytest.mark.parametrize('name', ODD)
def test_every_box_has_an_area(odd_images, config, name):
    sides = sides_of_boxes(training_set(config, odd_images), list(ODD).index(name))
    assert all(width > 0 and height > 0 for width, height in sides)
    assert bool(sides) == (name in KEEP_THEIR_BOX)


def test_left_to_mmdets_transforms_some_would_have_none(odd_images):
    """What the test above would see."""
    dataset = training_set('mask_rcnn_gcvit_t', odd_images, ('mmgcvit.MatchAnnotatedSize', 'FilterAnnotations'))
    has_none = {name: any(0 in sides for sides in sides_of_boxes(dataset, index)) for index, name in enumerate(ODD)}
    assert has_none['one pixel']
    assert has_none['half as large']
    assert not has_none['plain']


def numbers_in(losses):
    return torch.cat(
        [torch.atleast_1d(x) for loss in losses.values() for x in (loss if isinstance(loss, list) else [loss])]
    )


@pytest.mark.parametrize('name', ['faster_rcnn_gcvit_t_boxonly', 'dino_gcvit_t_12e'])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), 1e38])
def test_an_image_that_is_not_finite_shows_in_the_losses(truth, name, value):  # noqa: F811
    image = torch.randn(1, 3, 64, 64)
    image[0, 1, 20, 30] = value
    losses = numbers_in(small_detector(name).loss(image, truth))
    assert not torch.isfinite(losses).all()


@pytest.fixture
def costs():
    return Config.fromfile(ROOT / 'configs' / 'dino_gcvit_t_12e.py').model.train_cfg.assigner


def predictions_and_truth():
    predictions = InstanceData(bboxes=torch.rand(20, 4) * 50 + 20, scores=torch.randn(20, 5) * 4)
    objects = InstanceData(bboxes=torch.tensor([[1.0, 2, 30, 40], [30, 10, 60, 60]]), labels=torch.tensor([3, 0]))
    return predictions, objects, {'img_shape': (64, 64)}


def test_finite_predictions_are_matched_as_by_mmdet(costs):
    init_default_scope('mmdet')
    arguments = predictions_and_truth()
    found = TASK_UTILS.build(costs).assign(*arguments)
    expected = MMDetHungarianAssigner(costs.match_costs).assign(*arguments)
    assert torch.equal(found.gt_inds, expected.gt_inds)
    assert (found.gt_inds > 0).sum() == 2


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf'), 3e38])
@pytest.mark.parametrize('part', ['bboxes', 'scores'])
def test_others_are_matched_to_anything(costs, part, value):
    init_default_scope('mmdet')
    predictions, *rest = predictions_and_truth()
    predictions[part][:] = value
    assert (TASK_UTILS.build(costs).assign(predictions, *rest).gt_inds > 0).sum() == 2
