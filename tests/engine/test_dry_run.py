"""The dry run scales every config down and passes all steps; for a broken config it names the step that fails."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmgcvit.commands.main import run_command
from mmgcvit.config import SIZE_KEYS, iter_dicts, iter_unwrapped_datasets
from mmgcvit.engine.dry_run import LOADERS, shrink
from mmgcvit.errors import UserError

from ..conftest import ROOT

CONFIGS = ROOT / 'configs'
CLASSIFIER = CONFIGS / 'lsa_t_cifar10.py'
STEPS = ['build', 'train', 'save', 'resume', 'validate', 'test']
# A config of each model family.
FAMILIES = [
    *('custom_cls', 'custom_coco', 'custom_coco_boxonly', 'custom_seg', 'gcvit_xxt_in1k'),
    *('cascade_gcvit_t', 'dino_gcvit_t_12e', 'mask_rcnn_lsa_s', 'upernet_gcvit_t', 'baselines/upernet_convnext_t'),
    *('ablations/lsa_t_cifar10_cvt_block', 'ablations/mask_rcnn_gcvit_t_local', 'demo/mask_rcnn_gcvit_digits'),
    *('other_heads/mask2former_gcvit_t_ade20k', 'other_heads/rtmdet_ins_gcvit_t'),
]


def steps_that(outcome, printed):
    return re.findall(rf'^(\w+): {outcome}', printed, re.MULTILINE)


@pytest.fixture
def dry_run(capsys):
    """Return a function that runs the command; it returns the error, or None, and the output."""

    def dry_run(*arguments):
        raised = None
        try:
            run_command('dry-run', arguments)
        except (Exception, SystemExit) as error:
            raised = error
        return raised, capsys.readouterr().out

    return dry_run


@pytest.mark.slow
@pytest.mark.parametrize('name', ['lsa_t_cifar10', *(pytest.param(name, marks=pytest.mark.long) for name in FAMILIES)])
def test_every_model_family_passes_all_steps(name, dry_run, tmp_path):
    config = CONFIGS / f'{name}.py'
    raised, printed = dry_run(config, '--shrink', 16, '--keep', tmp_path / 'kept')
    assert raised is None, printed
    assert steps_that('OK', printed) == STEPS
    assert printed.rstrip().endswith('all steps OK')
    assert Config.fromfile(tmp_path / 'kept' / 'config.py').work_dir == str(tmp_path / 'kept' / 'run')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('option', 'step', 'words'),
    [
        ('model.neck.type=Nothing', 'build', 'Nothing is not in'),
        ('model.head.in_channels=99', 'train', 'cannot be multiplied'),
        ('optim_wrapper.optimizer.lr=0', 'train', 'training changed no weight'),
        ('val_evaluator.topk=[99]', 'validate', ''),
    ],
)
def test_broken_config_fails_at_the_expected_step(option, step, words, dry_run):
    raised, printed = dry_run(CLASSIFIER, '--cfg-options', option, 'optim_wrapper.optimizer.weight_decay=0')
    assert words in str(raised)
    assert steps_that('FAILED', printed) == [step]
    assert steps_that('OK', printed) == STEPS[: STEPS.index(step)]


@pytest.mark.slow
def test_every_config_is_scaled_down(monkeypatch, tmp_path):
    """Data are miniatures, images and training are small, and no pretrained weights are loaded."""
    monkeypatch.chdir(tmp_path)  # a folder without data
    for kind in ('coco', 'ade20k', 'imagenet'):
        monkeypatch.setattr(f'mmgcvit.datasets.miniature.write_miniature_{kind}', lambda *_, **__: None)
    paths = [path for folder in ('', 'demo', 'baselines', 'ablations') for path in (CONFIGS / folder).glob('*.py')]
    assert len(paths) > 80
    wrong = {}
    for path in paths:
        cfg = Config.fromfile(path)
        shrink(cfg, tmp_path, 8)
        leaves = [leaf for name in LOADERS for leaf in iter_unwrapped_datasets(cfg[name].dataset)]
        sizes = iter_dicts([leaf.pipeline for leaf in leaves], cfg.model.get('data_preprocessor') or {})
        text = str([settings.get(key) for settings in sizes for key in SIZE_KEYS])
        holds = {
            'miniature': all(leaf.data_root.startswith(str(tmp_path)) for leaf in leaves),
            'iterations': cfg.train_cfg.get('max_iters', 2) == 2 and cfg.train_cfg.get('max_epochs', 1) == 1,
            'batches': [cfg[name].batch_size for name in LOADERS] == [2, 1, 1],
            'pixels': all(int(side) <= 4200 // 8 for side in re.findall(r'(?<![.\d])\d+(?![.\d])', text)),
            'weights': "'Pretrained'" not in str(cfg.model),
            'one device': 'compile' not in cfg,
        }
        wrong[path.stem] = [what for what, is_so in holds.items() if not is_so]
    assert {name: found for name, found in wrong.items() if found} == {}


def with_options(**options):
    cfg = Config.fromfile(CONFIGS / 'mask_rcnn_gcvit_t.py')
    cfg.merge_from_dict(options)
    return cfg


def test_sizes_are_divided_and_schedulers_keep_their_ends(tmp_path):
    cfg = with_options(optim_wrapper={'type': 'AmpOptimWrapper'}, compile=True)
    cfg.param_scheduler = [{'type': 'LinearLR', 'by_epoch': False, 'end': 2500}, {'type': 'CosineAnnealingLR'}]
    notes = shrink(cfg, tmp_path, 8)
    assert cfg.val_dataloader.dataset.pipeline[2].scale == (166, 100)
    assert [scheduler['end'] for scheduler in cfg.param_scheduler] == [2500, 36]
    assert {'NOT tried: compile', 'NOT tried: AmpOptimWrapper; float32 instead'} <= set(notes)


def test_existing_data_are_used(tmp_path):
    """All dataloaders have data here."""
    root = tmp_path / 'coco'
    for name in ('train', 'val'):
        path = root / 'annotations' / f'instances_{name}2017.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    cfg = with_options(**{f'{name}.dataset.data_root': f'{root}/' for name in LOADERS})
    assert shrink(cfg, tmp_path / 'out', 8)[0] == "data: the first images of the config's datasets"
    assert cfg.train_dataloader.dataset.data_root == f'{root}/'
    assert cfg.train_dataloader.num_batch_per_epoch == 2
    assert not Path(tmp_path / 'out').exists()


def test_data_without_a_miniature_are_rejected(tmp_path):
    with pytest.raises(UserError, match='does not exist, and mmgcvit cannot write sample data for VOCDataset'):
        shrink(with_options(**{'train_dataloader.dataset.type': 'VOCDataset'}), tmp_path, 8)
