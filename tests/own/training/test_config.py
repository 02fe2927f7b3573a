"""Training on a user's dataset: the config that is written, rejected options, and complete runs."""

import json
import os
import re
import shutil
from functools import partial
from math import ceil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS
from numpy.testing import assert_array_equal
from PIL import Image

from mmgcvit.datasets.loading import build_dataset
from mmgcvit.datasets.skip_unreadable import skip_unreadable
from mmgcvit.engine.data import check_data
from mmgcvit.engine.hooks.summary import format_duration
from mmgcvit.errors import UserError
from mmgcvit.host.config import LOADERS
from mmgcvit.host.runners import build_in_scope
from mmgcvit.own.data.folders import scan_folder
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.data.formats.semantic_maps import read_classes
from mmgcvit.own.data.label_maps import read_labels
from mmgcvit.own.judging.evaluations import find_evaluation
from mmgcvit.own.judging.samples import load_sample
from mmgcvit.own.training.advice import advise, estimate_time
from mmgcvit.own.training.config import make_config
from mmgcvit.own.training.options import OPTIONS, make_options
from mmgcvit.own.training.plan import make_plan
from mmgcvit.own.training.resuming import check_same_data, extend_run, find_newer_files
from mmgcvit.own.training.templates import COSTS, MINI, TEMPLATES
from mmgcvit.runs.folder import RunFolder

from ...configs.models import build_on_meta
from ...conftest import ROOT
from ...tools.commands import call
from ..data.formats.made import EXAMPLES, Thing, make_example, write, write_example

# The format of the dataset for each type of annotations.
DATA = {'boxes': 'yolo', 'masks': 'coco', 'seg_maps': 'maps', 'classes': 'classes'}
NOTHING_DONE = {'max_epochs': 0, 'max_iters': 0}


@pytest.fixture(params=DATA)
def annotation_type(request):
    """Run a test for each type of annotations."""
    return request.param


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a dataset with annotations of a type and a config for it."""

    def make(annotation_type, work_dir=tmp_path / 'work_dirs', **options):
        root = tmp_path / annotation_type
        if not root.exists():
            write_example(root, DATA[annotation_type])
        # Only maps need it.
        path, summary = make_config(read_folder(root, 'semantic'), work_dir, **options)
        return SimpleNamespace(path=path, summary=summary, cfg=Config.fromfile(path))

    return make


@pytest.mark.parametrize(
    ('annotation_type', 'size'),
    [(name, size) for name, template in TEMPLATES.items() for size in template.networks],
)
def test_networks_of_all_sizes_are_built_for_the_dataset(annotation_type, size, make):
    cfg = make(annotation_type, size=size).cfg
    check_data(cfg, LOADERS[:2])
    build_on_meta(cfg)
    heads = set(re.findall(r"'num_classes': (\d+)", str(cfg.model.to_dict())))
    assert heads == {'3' if annotation_type == 'seg_maps' else '2'}
    assert cfg.started_with.image_side == 96
    backbone = cfg.model.backbone
    assert backbone.arch == size or (size == MINI and backbone.arch.embed_dims == 16)
    checkpoint = cfg.load_from if size == MINI else backbone.init_cfg.checkpoint
    # All but the largest have the first digits of their SHA-256 in the name, which the download
    # verifies.
    assert re.search(
        rf'{TEMPLATES[annotation_type].mini_weights}$|gcvit_{size}_224\S+-[0-9a-f]{{8}}.pth$|1k_large',
        checkpoint,
    )


def test_a_test_split_with_annotations_is_scored_by_test(make, tmp_path):
    """Without one, the validation split is scored."""
    folder = tmp_path / 'masks/annotations'
    assert make('masks').cfg.test_evaluator.ann_file.endswith('/val.json')
    content = json.loads((folder / 'val.json').read_text())
    shutil.copytree(tmp_path / 'masks/val', tmp_path / 'masks/test')
    for objects, name in ((content['annotations'], '/test.json'), ([], '/val.json')):
        content['annotations'] = objects
        (folder / 'test.json').write_text(json.dumps(content))
        cfg = make('masks').cfg
        for part in (cfg.test_evaluator, cfg.test_dataloader.dataset):
            assert part.ann_file.endswith(name)
        assert cfg.val_evaluator.ann_file.endswith('/val.json')


@pytest.mark.parametrize('size', [MINI, 'small'])
@pytest.mark.parametrize('annotation_type', ['boxes', 'seg_maps', 'classes'])
def test_a_learning_rate_that_is_asked_for_is_not_scaled(annotation_type, size, make):
    cfg = make(annotation_type, size=size, lr=0.5).cfg
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    assert not cfg.auto_scale_lr.enable


def test_options_are_in_the_config_and_in_the_summary(make, tmp_path):
    write(weights := tmp_path / 'nvidia/own.pth', '')
    made = make('boxes', size='small', epochs=7, image_size=320, pretrained=str(weights))
    cfg = made.cfg
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == 7
    assert cfg.test_dataloader.dataset.pipeline[2].scale == (533, 320)
    assert cfg.model.backbone.init_cfg.checkpoint == str(weights)
    assert 'commercial' not in made.summary
    assert 'YOLO (data.yaml), 5 images (train), 1 image (val)' in made.summary
    assert 'Faster R-CNN, --size small, at 320 px, 7 epochs' in made.summary
    assert torch.cuda.is_available() or 'minutes on a CPU (estimate)' in made.summary
    summary = make('boxes', size='small', pretrained='timm://gcvit_small').summary
    assert 'not for commercial use' in summary
    made = make('seg_maps', pretrained='none', size=MINI, epochs=3)
    assert made.cfg.train_cfg.max_iters == 3, '4 images in batches of 8'
    assert made.cfg.load_from is made.cfg.model.backbone.init_cfg is None
    assert 'scores will be low' in made.summary
    cfg = make('classes', size=MINI, batch_size=3, lr=0.5, workers=0).cfg
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr) == (3, 0.5)
    assert cfg.auto_scale_lr == {'enable': False, 'base_batch_size': None}
    assert cfg.train_dataloader.num_workers == cfg.val_dataloader.num_workers == 0
    cfg = make('masks', task='detect').cfg
    assert 'with_mask' not in cfg.train_dataloader.dataset.pipeline[2]


def read_discs(folder, boxes, has_mask):
    """Write a dataset each of whose photos has discs in these boxes, and read it."""
    made = make_example('coco', EXAMPLES['coco'], {'train': 4, 'val': 2})
    for photo in made.photos['train'] + made.photos['val']:
        photo.things[:] = [Thing('disc', box, has_mask) for box in boxes]
    made.write(folder)
    return read_folder(folder)


@pytest.mark.parametrize(('tiles', 'limit'), [(None, 300), (32, 100)])
def test_limits_of_objects_follow_the_fullest_image_or_tile(tiles, limit, tmp_path):
    boxes = [(x, y, x + 2, y + 2) for x in range(0, 96, 8) for y in range(0, 72, 6)]
    dataset = read_discs(tmp_path / 'data', boxes, True)
    path, summary = make_config(dataset, tmp_path / 'run', tiles=tiles)
    cfg = Config.fromfile(path)
    assert cfg.max_objects == cfg.model.test_cfg.rcnn.max_per_img == limit
    for words in (
        'the fullest image has 144 objects, so up to 300 are found',
        'their masks take up to',
        'Train on tiles of 32 px: --tiles (about',
    ):
        assert (words in summary) == (not tiles)
    if not tiles:
        megabytes = limit * 2 * cfg.image_size**2 / 1e6
        assert f'their masks take up to {megabytes:.0f} MB an image' in summary
        for proposals in (cfg.model.train_cfg.rpn_proposal, cfg.model.test_cfg.rpn):
            assert (proposals.nms_pre, proposals.max_per_img) == (3000, 1500)
    assert cfg.val_evaluator.type == 'mmgcvit.CocoMetric'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_the_fullest_image_may_be_one_for_training_or_for_validation(split, tmp_path):
    """At least 100 objects are found, so that 67 need more."""
    made = make_example('coco', EXAMPLES['coco'], {'train': 4, 'val': 2})
    corners = [(x, y) for x in range(0, 96, 8) for y in range(0, 72, 8)][:67]
    made.photos[split][0].things[:] = [
        Thing('disc', (x, y, x + 4, y + 4), True) for x, y in corners
    ]
    made.write(tmp_path)
    plan = make_plan(read_folder(tmp_path), make_options(size='mini'))
    assert (plan.fullest, plan.head.max_objects) == (67, 200)


@pytest.mark.parametrize('num_threads', [1, 4])
def test_the_estimated_time_is_that_of_all_threads(num_threads, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: num_threads)
    write_example(tmp_path, 'coco')
    plan = make_plan(read_folder(tmp_path), make_options(size='tiny'))
    cost = plan.template.cpu_seconds * COSTS['tiny']  # in seconds of a core on a megapixel
    expected = format_duration(20_000 * cost / num_threads)
    assert estimate_time(plan, 20_000, 1000) == f'about {expected}'


@pytest.mark.parametrize(('tiles', 'is_named'), [(64, True), (96, False), (None, False)])
def test_tiles_that_are_small_for_the_objects_are_named(tiles, is_named, tmp_path):
    """As 24 coins of 43 px of which 46 were counted in tiles of 64 px."""
    boxes = [(x, 10, x + 23, 33) for x in (0, 30, 60)]
    dataset = read_discs(tmp_path / 'data', boxes, True)
    path, summary = make_config(dataset, tmp_path / 'run', size=MINI, tiles=tiles)
    assert Config.fromfile(path).started_with.object_side == 23
    assert ('objects are up to 23 px long' in summary) == is_named
    assert ('Use --tiles 96, or larger' in summary) == is_named


@pytest.mark.parametrize(('side', 'options'), [(1, ' --image-size 256'), (1.5, ''), (7, None)])
def test_advice_for_small_objects_works_at_the_first_try(side, options, tmp_path):
    dataset = read_discs(tmp_path / 'data', [(8, 10, 8 + side, 10 + side)], False)
    make = partial(make_config, dataset, tmp_path / 'run', size=MINI)
    summary = make()[1]
    assert ('under 8 px' in summary) == (options is not None)
    assert ('--image-size' in summary) == bool(options)
    if options:
        assert f'Train on tiles of 32 px: --tiles{options}' in make(tiles=0)[1]
    assert 'under 8 px' not in make(tiles=0, image_size=256 if options else None)[1]


def test_all_scores_of_a_line_count_all_detections():
    """All 150 objects are found. mmdet counts 100 of them, so its mAP is 0.667."""
    corners = 6 * torch.cartesian_prod(torch.arange(15.0), torch.arange(10.0))
    boxes = torch.cat([corners, corners + 5], 1)
    instances = [{'bbox': box, 'bbox_label': 0, 'mask': None} for box in boxes.tolist()]
    labels, scores = torch.zeros(150, dtype=int), torch.linspace(1, 0.5, 150)
    sample = {'ori_shape': (72, 96), 'img_id': 1, 'instances': instances}
    sample['pred_instances'] = {'bboxes': boxes, 'labels': labels, 'scores': scores}
    evaluator = Evaluator([{'type': 'mmgcvit.CocoMetric', 'metric': 'bbox'}])
    evaluator.dataset_meta = {'classes': ('disc',)}
    evaluator.process([sample], {})
    found = evaluator.evaluate(1)
    for name in ('bbox_mAP', 'bbox_mAP_50'):
        assert found[f'coco/{name}'] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize('size', [(200, 130), (200, 140)])
def test_wide_images_of_a_classifier_are_said(size, tmp_path):
    """Its tests see the centre of an image only, but for mini's, which see all of it."""
    for number in range(8):
        pixels = np.full((*size[::-1], 3), number, np.uint8)
        write(tmp_path / f'data/{number % 2}/{number}.png', pixels)
    dataset = read_folder(tmp_path / 'data', 'classify')
    note = 'images are over 1.5 times as long as wide'
    _, summary = make_config(dataset, tmp_path / 'run', size='xxtiny')
    assert (note in summary) == (size[1] == 130)
    _, summary = make_config(dataset, tmp_path / 'mini', size=MINI)
    assert note not in summary


def test_a_small_classifier_sees_the_whole_image_and_mirrors_it_only_with_flip(make):
    made = make('classes', size=MINI)
    train = made.cfg.train_dataloader.dataset.pipeline
    assert made.cfg.val_dataloader.dataset.pipeline[1].scale == (64, 64)
    assert [step.type for step in train[1:-1]] == ['Resize', 'RandomResizedCrop']
    assert 'not mirrored, because a mirror image may be of another class' in made.summary
    made = make('classes', size=MINI, flip=True)
    assert 'RandomFlip' in str(made.cfg.train_dataloader.dataset.pipeline)
    assert 'mirror' not in made.summary


def test_strips_fit_networks_of_all_sizes(make):
    made = make('classes', size='xxtiny')
    text = made.path.read_text()
    assert 'num_strips = None' in text
    made.path.write_text(text.replace('num_strips = None', 'num_strips = (8, 8, 4, 2)'))
    network = build_on_meta(Config.fromfile(made.path))
    images = torch.empty(1, 3, 64, 64, device='meta')
    assert network.head(network.extract_feat(images)).shape == (1, len(made.cfg.classes))


SECOND = '# "a", b:c'


def write_colours(root, number, labels):
    header = '# label:color_rgb:parts:actions'
    write(root / 'labelmap.txt', f'{header}\nbackground:0,0,0::\n{SECOND}:9,8,7::\nc:0,0,250::')
    colours = np.array([[0, 0, 0], [9, 8, 7], [0, 0, 250]], np.uint8)
    write(root / f'SegmentationClass/{number}.png', colours[labels])
    write(root / 'ImageSets/Segmentation/train.txt', '0\n1\n2\n')
    write(root / 'ImageSets/Segmentation/val.txt', '3\n')
    return root / f'JPEGImages/{number}.jpg'


def write_table(root, number, labels):
    """A table needs no header. Without a row for it, 255 is no class."""
    split, header = ('valid', '') if number == 3 else ('train', 'Pixel Value, Class\n')
    write(root / split / '_classes.csv', f'{header}0, background\n7, "# ""a"", b:c"\n9, c\n')
    pixels = np.array([0, 7, 9], np.uint8)[labels]
    pixels[0, 0] = labels[0, 0] = 255
    write(root / split / f'{number}_mask.png', pixels)
    return root / split / f'{number}.jpg'


def write_white(root, number, labels):
    write(root / 'classes.txt', f'background\n{SECOND}')
    write(root / f'masks/{number}.png', np.uint8(255 * labels))
    return root / f'images/{number}.jpg'


@pytest.mark.parametrize('write_map', [write_colours, write_table, write_white])
def test_maps_of_colours_and_of_other_values_are_trained_as_class_indices(write_map, tmp_path):
    expected, is_white = {}, write_map is write_white
    for number in range(4):
        random = np.random.default_rng(number)
        labels = random.integers(0, 2 if is_white else 3, (30, 40))
        if number == 0:
            labels[:] = 1
        image = write_map(tmp_path / 'data', number, labels)
        write(image, random.integers(0, 255, (30, 40, 3), np.uint8))
        expected[image.name] = labels
    dataset = read_folder(tmp_path / 'data', 'semantic' if is_white else None)
    assert dataset.classes[:2] == ('background', SECOND)
    assert ('val' in dataset.splits) != is_white
    path, _ = make_config(dataset, tmp_path / 'run', size=MINI)
    cfg, found = Config.fromfile(path), {}
    check_data(cfg, LOADERS[:2])
    for loader in LOADERS[:2]:
        settings = {**cfg[loader].dataset, 'pipeline': [{'type': 'mmseg.LoadAnnotations'}]}
        for sample in DATASETS.build(settings):
            found[Path(sample['img_path']).name] = sample['gt_seg_map']
    assert found.keys() == expected.keys()
    for name, labels in found.items():
        assert_array_equal(labels, expected[name])


@pytest.mark.parametrize(
    ('name', 'text', 'words'),
    [
        ('labelmap.txt', 'a:0,0,0::\nb:1,2,3::\nc:1,2,3::', '1,2,3 for the classes b and c'),
        ('train/_classes.csv', '0, a\n7, b, c', "the line '7, b, c'. Expected NAME"),
        ('train/_classes.csv', '0, a\n7, "b', """the line '7, "b'. Expected NAME"""),
        ('labelmap.txt', '\n'.join(f'{i}:0,0,{i}::' for i in range(256)), '256 classes of pixels'),
        ('labelmap.txt', 'a:0,0,0::\nb:1,2::', "the line 'b:1,2::'. Expected NAME"),
        ('labelmap.txt', '# label:color_rgb:parts', "the line ''. Expected NAME"),
        ('labelmap.txt', 'a:0,0,0::\n# b', "the line '# b'. Expected NAME"),
    ],
)
def test_tables_of_classes_that_cannot_be_used_are_named(name, text, words, tmp_path):
    write(tmp_path / name, text)
    with pytest.raises(UserError, match=words):
        read_classes(scan_folder(tmp_path))


def test_different_tables_of_splits_are_named(tmp_path):
    for split, text in {'train': '0, a\n1, b', 'valid': '0, b\n1, a'}.items():
        write(tmp_path / split / '_classes.csv', f'Pixel Value, Class\n{text}')
    with pytest.raises(UserError, match=r'train/_classes\.csv and .*valid/_classes\.csv differ'):
        read_classes(scan_folder(tmp_path))


def test_blue_colours_are_not_grey_values_and_blank_lines_are_skipped(tmp_path):
    write(tmp_path / 'labelmap.txt', 'a:0,0,0::\n\nb:0,0,255::\n')
    names, values = read_classes(scan_folder(tmp_path))
    labels = np.eye(4, 5, dtype=np.uint8)
    write(tmp_path / 'a.png', labels[..., None] * np.array([0, 0, 255], np.uint8))
    assert names == ['a', 'b']
    assert_array_equal(read_labels(tmp_path / 'a.png', values), labels)


def test_images_of_rare_classes_are_repeated(annotation_type, make):
    """By mmengine's ClassBalancedDataset, a variable of each template."""
    made = make(annotation_type, size=MINI)
    text = made.path.read_text().replace('oversample_thr = None', 'oversample_thr = 4.0')
    made.path.write_text(text.replace('tiles = None', 'tiles = 40'))
    cfg = Config.fromfile(made.path)
    skip_unreadable(cfg, 0)
    assert "'ClassBalancedDataset'" in str(cfg.train_dataloader.dataset.to_dict())
    dataset = build_dataset(cfg.train_dataloader.dataset, cfg.default_scope, augmented=True)
    assert len(dataset) >= 8, 'of four or five images'
    evaluation = find_evaluation(cfg.default_scope)
    assert load_sample(dataset, 0, ['a', 'b', 'c'], evaluation).image.ndim == 3


@pytest.mark.slow
@pytest.mark.parametrize('level', OPTIONS['augment'].choices)
def test_images_vary_as_the_augmentation_says(annotation_type, level, make):
    """Without augmentation they do not vary, except a segmentor's crops.

    In strong augmentation, colours vary.
    """
    options = {'light': {'no_flip': True}, 'strong': {'flip': True}}.get(level, {})
    cfg = make(annotation_type, size=MINI, augment=level, **options).cfg
    steps = str(cfg.train_dataloader.dataset.pipeline)
    assert ('RandomFlip' in steps) == (level == 'strong')
    assert level != 'light' or "'prob': 1.0" not in str(cfg.get('tta_pipeline'))
    dataset = build_dataset(cfg.train_dataloader.dataset, cfg.default_scope, augmented=True)
    evaluation = find_evaluation(cfg.default_scope)
    means = {load_sample(dataset, 0, ['a', 'b'], evaluation).image.mean() for _ in range(8)}
    assert (len(means) == 1) == (level == 'none' and annotation_type != 'seg_maps')
    assert ('Color' in steps or 'Photo' in steps) == (
        level == 'strong' or (annotation_type, level) == ('seg_maps', 'light')
    )


def test_images_are_not_mirrored_where_class_names_say_so(annotation_type, make, monkeypatch):
    """--flip mirrors them all the same. tests/datasets/test_mirroring.py has the names."""
    for module in ('plan', 'advice'):
        monkeypatch.setattr(
            f'mmgcvit.own.training.{module}.explain_mirroring', lambda _: 'a mirror swaps them'
        )
    made = make(annotation_type, size=MINI)
    assert 'RandomFlip' not in str(made.cfg.train_dataloader.dataset.to_dict())
    assert 'images are not mirrored, because a mirror swaps them' in made.summary
    assert 'To mirror half of them: --flip' in made.summary
    made = make(annotation_type, size=MINI, flip=True)
    assert 'RandomFlip' in str(made.cfg.train_dataloader.dataset.to_dict())
    assert 'half of the images are mirrored (--flip)' in made.summary


def test_the_start_says_that_images_are_mirrored_and_which_never_should_be(annotation_type, make):
    """The names of many classes, as of clefs and sharps, do not tell. Nothing is said of images that
    the user does not want mirrored.
    """
    made = make(annotation_type, size='tiny')
    is_mirrored = 'RandomFlip' in str(made.cfg.train_dataloader.dataset.to_dict())
    said = 'half of the images are mirrored. Never mirror letters, digits, music'
    assert (is_mirrored, said in made.summary) == (True, True)
    assert 'mirror' not in make(annotation_type, size='tiny', no_flip=True).summary
    assert 'mirror' not in make(annotation_type, size='tiny', augment='none').summary


@pytest.mark.slow
def test_images_of_all_sizes_are_trained_and_validated(annotation_type, make, tmp_path):
    """Strips too, with the strongest augmentation. Longer ones are left out when a folder is
    read (datasets/test_rules.py).
    """
    cfg = make(annotation_type, size=MINI, augment='strong').cfg
    skip_unreadable(cfg, 0)
    train, val = (build_dataset(cfg[name].dataset, cfg.default_scope, True) for name in LOADERS[:2])
    with build_in_scope(cfg.default_scope):
        settings = {'data_preprocessor': cfg.get('data_preprocessor'), **cfg.model}
        model = revert_sync_batchnorm(MODELS.build(settings))
    image, label_map = f'{tmp_path}/image.png', f'{tmp_path}/map.png'

    def load(dataset, width, height):
        info = dataset.get_data_info(0) | {'img_path': image, 'width': width, 'height': height}
        if 'seg_map_path' in info:
            info['seg_map_path'] = label_map
        outline = [0, 0, width, 0, width, height, 0, height]
        for instance in info.get('instances', ()):
            instance |= {'bbox': [0, 0, width, height], 'mask': [outline]}
        return dataset.pipeline(info)

    for size in ((5000, 16), (4, 640), (97, 300), (3000, 33)):
        Image.new('RGB', size).save(image)
        Image.new('L', size).save(label_map)
        batch = pseudo_collate([load(train, *size), load(train, *size)])
        losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
        assert model.parse_losses(losses)[0].isfinite()
        with torch.no_grad():
            model.eval().test_step(pseudo_collate([load(val, *size)]))
        model.train()


@pytest.mark.parametrize('number', [2, 10, 11])
def test_each_class_of_pixels_has_a_colour(number, make):
    path = make('seg_maps').path
    names = tuple(map(str, range(number)))
    path.write_text(re.sub('(?m)^classes = .*', f'classes = {names}', path.read_text()))
    cfg = Config.fromfile(path)
    dataset = build_dataset(cfg.val_dataloader.dataset, cfg.default_scope, True)
    assert len(dataset.metainfo['palette']) == number


def test_a_written_config_is_its_template_with_other_first_lines(annotation_type, make):
    """So what docs and comments say of a template is true of it.

    No line of the template's code is changed.
    """
    written = make(annotation_type, size=MINI, epochs=40).path.read_text()
    template = (ROOT / 'configs' / TEMPLATES[annotation_type].config).read_text()
    mark = '# Derived from the settings above.'
    assert written.partition(mark)[1:] == template.partition(mark)[1:]
    starts = []  # comments, and names of variables
    for text in (written, template):
        head = text.partition(mark)[0].partition('# The network: ')[2]
        starts.append(re.findall(r'^(#.*|\w+ =)', head, flags=re.M))
    assert starts[0] == starts[1]


def test_a_longer_run_has_the_schedule_of_one_started_with_its_length(
    annotation_type, make, tmp_path
):
    made = make(annotation_type, size=MINI, epochs=2)
    run = RunFolder(made.path.parent.parent)
    made.cfg.dump(run.path / made.path.name)
    assert extend_run(run, run.config, 2, NOTHING_DONE).cfg is run.config
    extended = extend_run(run, run.config, 30, NOTHING_DONE).cfg
    assert Config.fromfile(extended.filename).to_dict() == extended.to_dict()
    expected = make(annotation_type, size=MINI, epochs=30).cfg
    for name in ('train_cfg', 'param_scheduler', 'default_hooks'):
        assert extended[name] == expected[name]


def test_a_project_can_be_moved_and_has_copies_of_the_annotations(
    annotation_type, tmp_path, monkeypatch
):
    """Files that have been written since the start of a run are named."""
    write_example(tmp_path / 'project/data', DATA[annotation_type])
    data = Path('data')
    monkeypatch.chdir(tmp_path / 'project')
    path, _ = make_config(read_folder(data, 'semantic'), size=MINI)
    assert str(tmp_path) not in path.read_text()
    monkeypatch.chdir((tmp_path / 'project').rename(tmp_path / 'moved'))
    cfg = Config.fromfile(path)
    check_data(cfg, LOADERS[:2])
    assert Path(cfg.train_dataloader.dataset.ann_file).parent == path.parent
    assert find_newer_files(data, cfg) == []
    later = path.stat().st_mtime + 1
    for file in filter(Path.is_file, data.rglob('*')):
        os.utime(file, (later, later))
        assert str(file.relative_to(data)) in find_newer_files(data, cfg)


def test_an_edited_template_is_filled_in_or_rejected_in_one_sentence(make, tmp_path, monkeypatch):
    text, edited = (ROOT / 'configs/custom_cls.py').read_text(), tmp_path / 'custom_cls.py'
    for module in ('config', 'plan'):
        monkeypatch.setattr(f'mmgcvit.own.training.{module}.CONFIGS', tmp_path)
    edited.write_text(text.replace('\nbatch_size = 32\n', '\nbatch_size = 5\n'))
    assert 'batch_size = 5\n' in make('classes').path.read_text()
    words = r'^\S+custom_cls\.py was edited, so that it cannot be filled in: its'
    for line in ('batch_size = 4 * 8', 'batch_size = (', 'batch_size, depth = 3, 2'):
        edited.write_text(text.replace('\nbatch_size = 32\n', f'\n{line}\n'))
        with pytest.raises(UserError, match=words):
            make('classes', work_dir=tmp_path / 'none')
    assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'task': 'segment'}, 'has no annotations for --task segment. Use --task semantic'),
        (
            {'size': 'large'},
            '--size large is not for the task semantic. Choose one of mini, tiny, small, base',
        ),
        ({'pretrained': 'no.pth'}, 'no.pth: there is no such file. Expected a file, URL'),
        ({'work_dir': 'a{{$HOME:x}}'}, 'valid UTF-8 without two opening braces'),
        ({'work_dir': '\udcff'}, 'valid UTF-8 without two opening braces'),
        ({'work_dir': 'seg_maps/run'}, 'is inside the dataset. Set another --work-dir'),
        ({'work_dir': 'link/run'}, 'is inside the dataset. Set another --work-dir'),
    ],
)
def test_invalid_options_are_rejected(options, words, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('link').symlink_to('seg_maps')
    with pytest.raises(UserError, match=re.escape(words)):
        make('seg_maps', **options)
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.long
def test_one_command_trains_a_model_on_a_folder(annotation_type, tmp_path):
    """For class folders, also resume by the same command and by the config, train longer, and train
    anew.
    """
    write_example(tmp_path / 'photos', DATA[annotation_type])
    run, found, again = tmp_path / 'run', tmp_path / 'found', tmp_path / 'again'
    mmgcvit, cpu = partial(call, '', '-m', 'mmgcvit'), ('--device', 'cpu')
    train = partial(mmgcvit, 'train')
    data = '--data', tmp_path / 'photos', '--epochs'
    own = *data, 1, '--work-dir', run
    output = train(*own, *(['--task', 'semantic'] if annotation_type == 'seg_maps' else []))
    assert re.search(r'((bbox|segm)_mAP|mIoU|accuracy/top1.*val_loss): ', output)
    photo = next((tmp_path / 'photos').rglob('*.jpg'))
    mmgcvit('predict', run, photo, '--out-dir', found, *cpu)
    assert (found / 'vis' / photo.name).is_file()
    assert {file.parts[0] for file in scan_folder(tmp_path).files} == {'photos'}, (
        'outputs are not data'
    )
    if annotation_type != 'classes':
        return
    for source in (own, [run / 'made/photos.py']):
        output = train(*source, '--resume', *cpu)
        assert re.search(r'resumed epoch: \d+, iter: [1-9]', output)
    output = train(*data, 2, '--work-dir', run, '--resume', *cpu)
    assert 'the resumed training ends after 2 epochs' in output
    assert list(run.glob('epoch_2.pth'))
    assert 'accuracy/top1: ' in mmgcvit('test', run, *cpu)
    output = train(*own, '--resume', '--size', 'tiny', fails=True)
    assert '--size cannot be changed when a run is resumed' in output
    options = '--fine-tune', 'lora', '--augment', 'strong', '--patience', 1
    train(*data, 1, '--work-dir', again, *options)
    assert list(again.glob('best_*.pth'))


@pytest.mark.parametrize('data_format', [*EXAMPLES])
def test_a_run_is_replaced_or_resumed_only_with_its_own_data(data_format, tmp_path):
    """Whatever the format, also with given lists: another folder of the same name, even with the same
    images, is not the run's. That to which the run's own was moved is.
    """
    for name in 'ab':
        write_example(tmp_path / name / 'photos', data_format)
    task = 'semantic' if data_format == 'maps' else None
    dataset = read_folder(tmp_path / 'a' / 'photos', task)
    run = RunFolder(tmp_path / 'run')
    file, _ = make_config(dataset, run.path, size='mini')
    shutil.copy(file, run.path)
    check_same_data(run, [tmp_path / 'a' / 'photos'])
    with pytest.raises(
        UserError, match=r'is the work dir of a run on .*a/photos, not on .*b/photos'
    ):
        check_same_data(run, [tmp_path / 'b' / 'photos'])
    (tmp_path / 'a').rename(tmp_path / 'c')
    check_same_data(RunFolder(run.path), [tmp_path / 'c' / 'photos'])


@pytest.mark.parametrize(
    ('data_format', 'task', 'advice', 'options'),
    [
        ('maps', 'semantic', 'thin: Train on tiles of 128 px: --tiles', '--tiles'),
        ('classes', 'classify', 'thin: use --image-size 128', '--image-size 128'),
    ],
)
def test_large_images_without_objects_are_named_before_the_training(
    data_format, task, advice, options, tmp_path
):
    """As small objects are, and not only in the verdict."""
    write_example(tmp_path, data_format)
    dataset = read_folder(tmp_path, task)
    plan = make_plan(dataset, make_options(task=task, size='mini'))
    side = plan.head.image_size
    told = advise(plan, [(4 * side, 3 * side)])
    assert advice in '\n'.join(told.notes)
    assert f'use {options}' in '\n'.join(told.weaknesses)
    assert advice in '\n'.join(advise(plan, [(2 * side, 3 * side)]).notes)
    for small in ((side, side), (2 * side - 1, 3 * side)):
        told = advise(plan, [small])
        assert options not in '\n'.join([*told.notes, *told.weaknesses])
    if task == 'semantic':
        tiled = make_plan(dataset, make_options(task=task, size='mini', tiles=0))
        assert 'Train on tiles' not in '\n'.join(advise(tiled, [(4 * side, 3 * side)]).notes)


@pytest.mark.parametrize('tiles', [0, 40])
def test_maps_are_trained_and_predicted_in_tiles(tiles, make, tmp_path):
    """Without a side, tiles are neither shrunk nor enlarged. As many are cut out of an image as it
    has pixels for, also in a run that is resumed for longer.
    """
    made = make('seg_maps', size=MINI, image_size=32, tiles=tiles, epochs=2)
    cfg = made.cfg
    side = tiles or 32
    tiles_per_image = round(96 * 72 / side**2)
    assert f'on {tiles_per_image} tiles of {side} px of each image' in made.summary
    assert cfg.started_with.tiles == cfg.val_cfg.side == cfg.test_cfg.side == side
    repeated = cfg.train_dataloader.dataset
    assert (repeated.type, repeated.times) == ('RepeatDataset', tiles_per_image)
    assert repeated.dataset.pipeline[2] == {'type': 'mmgcvit.RandomMapTile', 'side': side}
    num_batches = ceil(4 * tiles_per_image / cfg.batch_size)
    assert cfg.train_cfg.max_iters == 2 * num_batches
    run = RunFolder(tmp_path / 'work_dirs')
    shutil.copy(made.path, run.path)
    longer = extend_run(run, cfg, 5, NOTHING_DONE).cfg
    assert longer.train_cfg.max_iters == 5 * num_batches


def test_tiles_are_not_for_classifiers(make):
    with pytest.raises(UserError, match=r'--tiles is not for classification\. Use --image-size'):
        make('classes', tiles=0)
