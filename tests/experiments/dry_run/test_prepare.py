"""Every config becomes small: its data, sizes and length, and nothing that needs a network or many GPUs."""

from contextlib import contextmanager

import pytest
from mmengine.config import Config

from mmgcvit.datasets.checks import leaf_datasets, type_name
from mmgcvit.experiments.dry_run import Options, data, prepare
from mmgcvit.experiments.dry_run.configs import LOADERS, as_list
from mmgcvit.experiments.dry_run.sizes import IN_PIXELS

from ...conftest import ROOT

CONFIGS = sorted(path for folder in ('configs', 'configs/demo') for path in (ROOT / folder).glob('*.py'))
CONFIGS += sorted((ROOT / 'tests' / 'data' / 'configs').glob('*.py'))
MASK_RCNN = ROOT / 'configs' / 'mask_rcnn_gcvit_t.py'


@contextmanager
def data_noted():
    """Write no data, but note what would be."""
    calls = {}
    with pytest.MonkeyPatch.context() as patch:
        for kind in ('coco', 'ade20k', 'imagenet'):
            patch.setattr(
                data, f'write_miniature_{kind}', lambda *given, kind=kind, **more: calls.update({kind: given})
            )
        yield calls


@pytest.fixture
def written():
    with data_noted() as calls:
        yield calls


@pytest.fixture(scope='module', params=CONFIGS, ids=lambda path: path.stem)
def small(request, tmp_path_factory):
    """Each config made small, and the folder that it then works in."""
    cfg, folder = Config.fromfile(request.param), tmp_path_factory.mktemp(request.param.stem)
    with data_noted():
        prepare(cfg, folder, Options(depth=2))
    return cfg, folder


def walk(value):
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []:
        yield from walk(inner)


def test_all_data_is_the_miniatures(small):
    cfg, folder = small
    for name in LOADERS:
        for dataset in leaf_datasets(cfg[name].dataset):
            assert dataset.data_root.startswith(str(folder / 'data'))
            assert not dataset.get('ann_file', '').startswith('/')
    for name in ('val_evaluator', 'test_evaluator'):
        for evaluator in as_list(cfg[name]):
            assert evaluator.get('ann_file', str(folder)).startswith(str(folder))


def test_two_iterations_and_few_images_in_the_process_itself(small):
    cfg, _ = small
    assert cfg.train_cfg.get('max_iters', 2) == 2
    assert cfg.train_cfg.get('max_epochs', 1) == 1
    assert cfg.optim_wrapper.get('accumulative_counts', 1) <= 2
    for name, split in LOADERS.items():
        loader = cfg[name]
        assert (loader.num_workers, loader.persistent_workers) == (0, False)
        assert loader.batch_size == (2 if split == 'train' else 1)
        assert loader.num_batch_per_epoch <= 3


def test_no_image_is_larger_than_an_eighth_or_the_smallest(small):
    """1600 px is the longest side that any config here asks for, 4200 DINO's own."""
    cfg, _ = small
    pipelines = [dataset.pipeline for name in LOADERS for dataset in leaf_datasets(cfg[name].dataset)]
    preprocessors = [cfg.model.get('data_preprocessor') or {}]
    for settings in walk([*pipelines, *preprocessors]):
        for key in IN_PIXELS:
            sides = [side for side in flat(settings.get(key)) if isinstance(side, int)]
            assert all(side <= 4200 // 8 for side in sides)


def flat(value):
    return [leaf for inner in value for leaf in flat(inner)] if isinstance(value, (list, tuple)) else [value]


def test_nothing_is_loaded_and_the_backbone_is_shallow(small):
    cfg, _ = small
    assert cfg.load_from is None
    assert not any(type_name(settings) == 'Pretrained' for settings in walk(cfg.model))
    assert max(cfg.model.backbone.arch['depths']) <= 2


def test_the_plain_runner_runs_it(small):
    cfg, _ = small
    assert 'runner_type' not in cfg
    assert 'strategy' not in cfg
    assert 'use_fsdp' not in cfg.optim_wrapper


def test_what_is_written_reads_back_as_it_is(small, tmp_path):
    cfg, _ = small
    cfg.dump(tmp_path / 'config.py')
    again = Config.fromfile(tmp_path / 'config.py')
    assert again.train_dataloader == cfg.train_dataloader
    assert again.model == cfg.model


def test_detectors_work_on_few_boxes_and_leave_none_out(small):
    cfg, _ = small
    assert cfg.model.get('num_queries', 0) <= 50
    for settings in walk([cfg.model.get('train_cfg'), cfg.model.get('test_cfg')]):
        assert settings.get('max_per_img', 0) <= 50
        assert settings.get('score_thr', 0) == 0


def with_options(**options):
    cfg = Config.fromfile(MASK_RCNN)
    cfg.merge_from_dict(options)
    return cfg


def test_image_sizes_are_divided_and_ratios_kept(written, tmp_path):
    cfg = with_options()
    prepare(cfg, tmp_path, Options())
    choice = cfg.train_dataloader.dataset.pipeline[4].transforms[1]
    assert cfg.val_dataloader.dataset.pipeline[2].scale == (166, 100)
    assert choice[0].scales == [(64, 166), (64, 166), (75, 166)]
    assert choice[1].crop_size == (64, 75)


def test_a_step_that_is_not_finite_ends_the_rehearsal(written, tmp_path):
    cfg = with_options()
    prepare(cfg, tmp_path, Options())
    assert cfg.default_hooks.finite_steps == {'type': 'mmgcvit.FiniteStepsHook', 'most_in_a_row': 1}


def test_schedulers_end_where_those_of_the_real_run_do(written, tmp_path):
    cfg = with_options()
    cfg.param_scheduler = [
        {'type': 'LinearLR', 'by_epoch': False, 'end': 2500},
        {'type': 'CosineAnnealingLR', 'begin': 1},
    ]
    prepare(cfg, tmp_path, Options())
    assert [scheduler['end'] for scheduler in cfg.param_scheduler] == [2500, 36]


def test_sharded_training_becomes_plain_and_that_is_said(written, tmp_path):
    cfg = with_options(
        runner_type='FlexibleRunner',
        strategy={'type': 'FSDPStrategy'},
        optim_wrapper={'type': 'AmpOptimWrapper', 'use_fsdp': True, 'dtype': 'bfloat16'},
    )
    notes = prepare(cfg, tmp_path, Options())
    assert any('NOT rehearsed: FlexibleRunner with FSDPStrategy' in note for note in notes)
    assert not {'runner_type', 'strategy'} & set(cfg)
    assert 'use_fsdp' not in cfg.optim_wrapper


def test_trackers_on_servers_are_not_called(written, tmp_path):
    cfg = with_options()
    cfg.visualizer.vis_backends = [{'type': 'WandbVisBackend'}]
    notes = prepare(cfg, tmp_path, Options())
    assert [backend['type'] for backend in cfg.visualizer.vis_backends] == ['LocalVisBackend']
    assert 'NOT rehearsed: WandbVisBackend' in notes


OWN = {'classes': ('nut', 'bolt')}


def test_own_classes_are_those_of_the_miniature(written, tmp_path):
    own = {f'{loader}.dataset.metainfo': OWN for loader in LOADERS}
    notes = prepare(with_options(**own), tmp_path, Options())
    assert 'WARNING: num_classes of the model is 80' in notes[0]
    assert [category['name'] for category in written['coco'][1]] == ['nut', 'bolt']


def test_own_classes_for_training_alone_are_refused(written, tmp_path):
    cfg = with_options(**{'train_dataloader.dataset.metainfo': OWN})
    with pytest.raises(SystemExit, match=r'val data set \(CocoDataset\) has 80 classes .* same metainfo'):
        prepare(cfg, tmp_path, Options())


@pytest.mark.parametrize('kind', ['VOCDataset', 'CocoPanopticDataset'])
def test_data_of_another_layout_is_refused_with_advice(written, tmp_path, kind):
    cfg = with_options(**{'train_dataloader.dataset.type': kind})
    with pytest.raises(SystemExit, match=f'no miniature of what {kind} reads.*--own-data'):
        prepare(cfg, tmp_path, Options())


def test_own_data_stays_where_it_is(written, tmp_path):
    cfg = with_options()
    prepare(cfg, tmp_path, Options(own_data=True))
    assert cfg.train_dataloader.dataset.data_root == 'data/coco/'
    assert cfg.train_dataloader.num_batch_per_epoch == 2
    assert not written


def test_a_backbone_whose_depth_cannot_be_limited_is_named(written, tmp_path):
    cfg = with_options()
    cfg.model.backbone = {'type': 'ResNet', 'depth': 50}
    with pytest.raises(SystemExit, match='how to limit ResNet'):
        prepare(cfg, tmp_path, Options(depth=1))


@pytest.mark.parametrize(
    ('backbone', 'limited'),
    [
        (
            {'type': 'mmpretrain.ConvNeXt', 'arch': 'tiny'},
            {'arch': {'depths': (2, 2, 2, 2), 'channels': [96, 192, 384, 768]}},
        ),
        ({'type': 'SwinTransformer'}, {'depths': (2, 2, 2, 2)}),
        ({'type': 'SwinTransformer', 'depths': (2, 2, 18, 2)}, {'depths': (2, 2, 2, 2)}),
    ],
    ids=['named', 'default', 'given'],
)
def test_the_depth_of_a_hosts_backbone_is_limited(backbone, limited, written, tmp_path):
    cfg = with_options()
    cfg.model.backbone = backbone
    prepare(cfg, tmp_path, Options(depth=2))
    assert cfg.model.backbone == backbone | limited


def test_few_classes_have_as_many_images_as_the_iterations_take(tmp_path):
    prepare(Config.fromfile(ROOT / 'configs' / 'custom_cls.py'), tmp_path, Options(depth=1))
    assert len(list((tmp_path / 'data' / 'imagenet' / 'train').rglob('*.JPEG'))) == 4
