"""Dry runs: every config becomes small, its commands are run and checked; a broken one is stopped where it breaks."""

import json
import os
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from mmgcvit.commands.main import run_command
from mmgcvit.datasets.checks.sources import leaf_datasets, type_name
from mmgcvit.errors import UserError
from mmgcvit.experiments import shrinking
from mmgcvit.experiments.rehearsal import (
    FILE,
    DryRunObserver,
    check_resumed,
    check_tested,
    check_training,
    rehearse,
    sum_of_predictions,
)
from mmgcvit.experiments.shrinking import IN_PIXELS, LOADERS, Options, as_list, prepare

from .. import fork_server, programs
from ..conftest import ROOT

MASK_RCNN, CLASSIFIER = 'configs/mask_rcnn_gcvit_t.py', 'configs/lsa_t_cifar10.py'
# A config of each family and options beside --depth 1 --shrink 16.
FAMILIES = {
    CLASSIFIER: [],
    'configs/cascade_gcvit_t.py': [],
    'configs/custom_coco_boxonly.py': ['--cfg-options', 'mosaic=True'],
    'configs/custom_coco.py': ['--cfg-options', 'copy_paste=True'],
    'configs/custom_seg.py': [],
    'configs/dino_gcvit_t_12e.py': [],
    'configs/mask_rcnn_lsa_s.py': [],
    'configs/other_heads/mask2former_gcvit_t_panoptic.py': [],
    'configs/other_heads/mask2former_gcvit_t_ade20k.py': [],
}
FIRST, *OTHERS = FAMILIES


@pytest.fixture
def dry_run(monkeypatch, capfd):
    """Call the command line, its steps in forked processes; returns its exit code and what it printed."""

    def dry_run(config, work_dir, *options):
        forked = lambda program, log: fork_server.run('-m', *program, log=log.name).returncode  # noqa: E731
        monkeypatch.setattr('mmgcvit.experiments.rehearsal.in_new_process', forked)
        code = 0
        try:
            run_command('dry-run', [config, '--work-dir', work_dir, *options])
        except SystemExit as end:
            code = end.code
        return code, capfd.readouterr().out

    return dry_run


def check_steps(output):
    assert re.findall(r'^(\w+): OK', output, re.MULTILINE) == ['train', 'resume', 'test']
    assert 'predictions and scores as in validation' in output


@pytest.mark.slow
@pytest.mark.parametrize('config', [FIRST, *(pytest.param(config, marks=pytest.mark.long) for config in OTHERS)])
def test_every_family_goes_through_all_steps(config, dry_run, tmp_path):
    code, output = dry_run(config, tmp_path, '--depth', '1', '--shrink', '16', *FAMILIES[config])
    assert code == 0, output
    check_steps(output)
    assert Config.fromfile(tmp_path / 'config.py').work_dir == str(tmp_path / 'run')
    assert not list(tmp_path.rglob('*.pth'))


@pytest.mark.long
def test_the_command_goes_through_all_steps_in_processes_of_their_own(tmp_path):
    options = ['configs/custom_cls.py', '--work-dir', tmp_path, '--depth', '1']
    command = [sys.executable, '-m', 'mmgcvit', 'dry-run', *options]
    run = programs.run(command, os.environ | {'CUDA_VISIBLE_DEVICES': '-1'})
    assert run.returncode == 0, programs.last_of(run.stdout, run.stderr)
    check_steps(run.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('option', 'step', 'message'),
    [
        ('model.head.in_channels=99', 'train', 'cannot be multiplied'),
        ('model.neck.type=Nothing', 'build', 'Nothing is not in'),
        pytest.param('test_evaluator.topk=[99]', 'test', 'exit code', marks=pytest.mark.long),
    ],
)
def test_a_broken_config_is_stopped_where_it_breaks(option, step, message, dry_run, tmp_path):
    code, output = dry_run(CLASSIFIER, tmp_path, '--depth', '1', '--shrink', '16', '--cfg-options', option)
    assert code == 1, output
    assert re.findall(r'^(\w+): FAILED', output, re.MULTILINE) == [step], output
    assert re.findall(r'^(\w+): OK', output, re.MULTILINE) == (['train', 'resume'] if step == 'test' else [])
    assert message in output
    assert 'Traceback' in (tmp_path / f'{"train" if step == "build" else step}.log').read_text()


def test_a_folder_of_other_things_is_left_alone_and_impossible_options_are_refused(dry_run, tmp_path):
    (tmp_path / 'thesis.tex').write_text('years of work')
    for options, words in (
        ([], 'holds other things than a dry run'),
        (['--depth', '1', '--keep-weights'], '--depth and --keep-weights'),
    ):
        assert words in dry_run(MASK_RCNN, tmp_path, *options)[0]
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


@pytest.fixture
def written(monkeypatch):
    """Write no data, but note what would be."""
    calls = {}
    for kind in ('coco', 'ade20k', 'imagenet'):
        note = lambda *given, kind=kind, **_: calls.update({kind: given})  # noqa: E731
        monkeypatch.setattr(shrinking, f'write_miniature_{kind}', note)
    return calls


def walk(value):
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []:
        yield from walk(inner)


def flat(value):
    return [leaf for inner in value for leaf in flat(inner)] if isinstance(value, (list, tuple)) else [value]


def not_small(cfg, folder):
    """What of a prepared config is not as small as it should be."""
    datasets = [dataset for name in LOADERS for dataset in leaf_datasets(cfg[name].dataset)]
    evaluators = as_list(cfg.val_evaluator) + as_list(cfg.test_evaluator)
    sizes = walk([[dataset.pipeline for dataset in datasets], cfg.model.get('data_preprocessor') or {}])
    sides = [side for settings in sizes for key in IN_PIXELS for side in flat(settings.get(key))]
    boxes = [*walk([cfg.model.get('train_cfg'), cfg.model.get('test_cfg')])]
    cfg.dump(folder / 'config.py')
    again = Config.fromfile(folder / 'config.py')
    holds = {
        "the data are the miniature's": all(dataset.data_root.startswith(f'{folder}/data') for dataset in datasets),
        'annotations are below the data': not any(it.get('ann_file', '').startswith('/') for it in datasets),
        'the miniature is scored': all(it.get('ann_file', f'{folder}').startswith(str(folder)) for it in evaluators),
        'two iterations': cfg.train_cfg.get('max_iters', 2) == 2 and cfg.train_cfg.get('max_epochs', 1) == 1,
        'few accumulated': cfg.optim_wrapper.get('accumulative_counts', 1) <= 2,
        'no worker processes': not any(cfg[name].num_workers or cfg[name].persistent_workers for name in LOADERS),
        'small batches': [cfg[name].batch_size for name in LOADERS] == [2, 1, 1],
        'few batches': all(cfg[name].num_batch_per_epoch <= 3 for name in LOADERS),
        # 1600 px is the longest side that any config here asks for, 4200 DINO's own.
        'small images': all(side <= 4200 // 8 for side in sides if isinstance(side, int)),
        'nothing is loaded': cfg.load_from is None and 'Pretrained' not in map(type_name, walk(cfg.model)),
        'shallow': max(cfg.model.backbone.arch['depths']) <= 2,
        'a plain runner': not {'runner_type', 'strategy'} & set(cfg) and 'use_fsdp' not in cfg.optim_wrapper,
        'few queries': cfg.model.get('num_queries', 0) <= 50,
        'few boxes': all(settings.get('max_per_img', 0) <= 50 for settings in boxes),
        'no box is left out': all(settings.get('score_thr', 0) == 0 for settings in boxes),
        'it reads back': (again.train_dataloader, again.model) == (cfg.train_dataloader, cfg.model),
    }
    return [what for what, is_so in holds.items() if not is_so]


def test_every_config_becomes_small(written, tmp_path):
    configs = [
        path for folder in ('configs', 'configs/demo', 'tests/data/configs') for path in ROOT.glob(f'{folder}/*.py')
    ]
    assert len(configs) > 60
    wrong = {}
    for path in configs:
        cfg, folder = Config.fromfile(path), tmp_path / path.stem
        folder.mkdir()
        prepare(cfg, folder, Options(depth=2))
        wrong[path.stem] = not_small(cfg, folder)
    assert {name: found for name, found in wrong.items() if found} == {}


def with_options(**options):
    cfg = Config.fromfile(ROOT / MASK_RCNN)
    cfg.merge_from_dict(options)
    return cfg


def test_sizes_are_divided_ratios_kept_and_schedulers_end_where_those_of_the_real_run_do(written, tmp_path):
    cfg = with_options()
    cfg.param_scheduler = [
        {'type': 'LinearLR', 'by_epoch': False, 'end': 2500},
        {'type': 'CosineAnnealingLR', 'begin': 1},
    ]
    prepare(cfg, tmp_path, Options())
    choice = cfg.train_dataloader.dataset.pipeline[4].transforms[1]
    assert cfg.val_dataloader.dataset.pipeline[2].scale == (166, 100)
    assert choice[0].scales == [(64, 166), (64, 166), (75, 166)]
    assert choice[1].crop_size == (64, 75)
    assert [scheduler['end'] for scheduler in cfg.param_scheduler] == [2500, 36]
    assert cfg.default_hooks.skip_nonfinite == {'type': 'mmgcvit.SkipNonFiniteStepHook', 'max_consecutive': 1}


def test_what_one_process_cannot_do_is_taken_out_and_said(written, tmp_path):
    cfg = with_options(
        runner_type='FlexibleRunner',
        strategy={'type': 'FSDPStrategy'},
        optim_wrapper={'type': 'AmpOptimWrapper', 'use_fsdp': True, 'dtype': 'bfloat16'},
    )
    cfg.visualizer.vis_backends = [{'type': 'WandbVisBackend'}]
    notes = prepare(cfg, tmp_path, Options())
    assert any('NOT rehearsed: FlexibleRunner with FSDPStrategy' in note for note in notes)
    assert 'NOT rehearsed: WandbVisBackend' in notes
    assert [backend['type'] for backend in cfg.visualizer.vis_backends] == ['LocalVisBackend']
    assert not {'runner_type', 'strategy'} & set(cfg)
    assert 'use_fsdp' not in cfg.optim_wrapper


OWN = {'classes': ('nut', 'bolt')}


def test_own_classes_are_those_of_the_miniature(written, tmp_path):
    own = {f'{loader}.dataset.metainfo': OWN for loader in LOADERS}
    notes = prepare(with_options(**own), tmp_path, Options())
    assert 'WARNING: num_classes of the model is 80' in notes[0]
    assert [category['name'] for category in written['coco'][1]] == ['nut', 'bolt']


def test_what_cannot_be_made_small_is_refused_with_advice(written, tmp_path):
    for options, message in (
        ({'train_dataloader.dataset.metainfo': OWN}, r'val data set \(CocoDataset\) has 80 classes .* same metainfo'),
        ({'train_dataloader.dataset.type': 'VOCDataset'}, 'no miniature of what VOCDataset reads.*--own-data'),
        ({'train_dataloader.dataset.type': 'LVISV1Dataset'}, 'of what LVISV1Dataset reads.*--own-data'),
        ({'model.backbone': {'_delete_': True, 'type': 'ResNet', 'depth': 50}}, 'how to limit ResNet'),
    ):
        with pytest.raises(UserError, match=message):
            prepare(with_options(**options), tmp_path, Options(depth=1))


def test_own_data_stays_where_it_is(written, tmp_path):
    cfg = with_options()
    prepare(cfg, tmp_path, Options(own_data=True))
    assert cfg.train_dataloader.dataset.data_root == 'data/coco/'
    assert cfg.train_dataloader.num_batch_per_epoch == 2
    assert not written


def test_of_prefixes_that_a_config_inherits_unread_none_is_left_beside_the_miniatures(written, tmp_path):
    """As Mask2Former's for objects has one of panoptic segments; the miniature would be said to be incomplete."""
    cfg = with_options(**{f'{loader}.dataset.data_prefix.seg': 'annotations/panoptic_train2017/' for loader in LOADERS})
    prepare(cfg, tmp_path, Options())
    assert [list(cfg[loader].dataset.data_prefix) for loader in LOADERS] == [['img']] * 3


def test_the_depth_of_a_hosts_backbone_is_limited(written, tmp_path):
    """Where it is named, left to the default, or given."""
    named = {'arch': {'depths': (2, 2, 2, 2), 'channels': [96, 192, 384, 768]}}
    for backbone, limited in (
        ({'type': 'mmpretrain.ConvNeXt', 'arch': 'tiny'}, named),
        ({'type': 'SwinTransformer'}, {'depths': (2, 2, 2, 2)}),
        ({'type': 'SwinTransformer', 'depths': (2, 2, 18, 2)}, {'depths': (2, 2, 2, 2)}),
    ):
        cfg = with_options()
        cfg.model.backbone = backbone
        prepare(cfg, tmp_path, Options(depth=2))
        assert cfg.model.backbone == backbone | limited


def test_few_classes_have_as_many_images_as_the_iterations_take(tmp_path):
    prepare(Config.fromfile(ROOT / 'configs' / 'custom_cls.py'), tmp_path, Options(depth=1))
    assert len(list((tmp_path / 'data' / 'imagenet' / 'train').rglob('*.JPEG'))) == 4


TRAINED = {
    'start': 0,
    'end': 2,
    'start_state': [5.0, 0.0],
    'end_state': [5.5, 1.0],
    'losses': [{'loss': 2.0}, {'loss': 1.0}],
    'num_weights': 10,
    'num_moved': 10,
    'without_gradient': [],
    'unmoved_parts': [],
}
RESUMED = {**TRAINED, 'start': 2, 'start_state': [5.5, 1.0], 'val': {'mIoU': 0.5}, 'val_predictions': 7.0}
TESTED = {'test': {'mIoU': 0.5}, 'test_predictions': 7.0}


def whole(**settings):
    """A config whose validation and test are one."""
    loaders = {'val_dataloader': {'dataset': {}}, 'test_dataloader': {'dataset': {}}}
    evaluators = {'val_evaluator': {'type': 'IoUMetric'}, 'test_evaluator': {'type': 'IoUMetric'}}
    loops = {'train_cfg': {'by_epoch': False, 'max_iters': 2}, 'val_cfg': {}, 'test_cfg': {}}
    return Config({**loaders, **evaluators, **loops, **settings})


def test_a_run_that_did_all_is_right():
    assert 'all had gradients' in check_training(whole(), TRAINED)
    assert 'from iteration 2' in check_resumed(whole(), TRAINED, RESUMED)
    assert 'as in validation' in check_tested(whole(), RESUMED, TESTED)
    unused = whole(find_unused_parameters=True)
    assert '1 had no gradient' in check_training(unused, {**TRAINED, 'without_gradient': ['head.a']})
    other_data = whole(test_dataloader={'dataset': {'type': 'Another'}})
    assert 'not compared' in check_tested(other_data, RESUMED, {**TESTED, 'test': {'mIoU': 0.1}})
    unlabelled = whole(test_evaluator={'type': 'CocoMetric', 'format_only': True})
    assert 'no score' in check_tested(unlabelled, RESUMED, {'test': {}})


WRONG = {
    'train': [
        ({'losses': [{'loss': 2.0}]}, '1 iterations were trained; expected 2'),
        ({'losses': [{'loss': 2.0}, {'loss_mask': float('nan')}]}, 'no finite numbers: loss_mask'),
        ({'losses': [{'loss': 2.0}, {}]}, 'none reported'),
        ({'num_moved': 0}, 'did not change the weights of the model'),
        ({'unmoved_parts': ['neck']}, 'did not change the weights of neck'),
        ({'without_gradient': ['head.a']}, 'had no gradient: head.a. .*find_unused_parameters'),
    ],
    'resume': [
        ({'start': 0}, 'resumed at iteration 0; the checkpoint is of iteration 2'),
        ({'start_state': [5.4, 1.0]}, 'resumed weights is another'),
        ({'start_state': [5.5, 0.0]}, 'resumed optimizer state is another'),
        ({'val': {}}, 'validation gave no score'),
    ],
    'test': [
        ({'test': {}}, 'test gave no score'),
        ({'test': {'mIoU': 0.6}}, 'mIoU 0.5 in validation, 0.6 in the test'),
        ({'test_predictions': 8.0}, 'predicts otherwise'),
    ],
}
CHECKS = {
    'train': lambda change: check_training(whole(), {**TRAINED, **change}),
    'resume': lambda change: check_resumed(whole(), TRAINED, {**RESUMED, **change}),
    'test': lambda change: check_tested(whole(), RESUMED, {**TESTED, **change}),
}


@pytest.mark.parametrize('step', CHECKS)
def test_what_went_wrong_although_the_process_ended_well_is_named(step):
    for change, message in WRONG[step]:
        with pytest.raises(UserError, match=message):
            CHECKS[step](change)


@pytest.fixture
def rehearsed(tmp_path):
    """Rehearses with programs that only leave what was observed; what they were, what was said, and the verdict."""
    (tmp_path / 'run').mkdir()

    def rehearsed(observed, exit_codes=(0, 0, 0), cfg=None):
        programs, said = [], []

        def run(program, log):
            number = len(programs)
            programs.append(program)
            log.write(''.join(f'line {line} of {number}\n' for line in range(30)))
            (tmp_path / 'run' / 'last_checkpoint').write_text('epoch_1.pth\n')
            if observed[number] is not None:
                (tmp_path / 'run' / FILE).write_text(json.dumps(observed[number]))
            return exit_codes[number]

        passed = rehearse(cfg or whole(), tmp_path, said.append, run)
        return programs, said, passed

    return rehearsed


OBSERVED = [TRAINED, RESUMED, TESTED]


def test_a_run_is_trained_resumed_and_tested_if_the_config_tests(rehearsed, tmp_path):
    (train, resume, test), said, passed = rehearsed(OBSERVED)
    assert passed
    assert [sentence.split(':')[0] for sentence in said] == ['train', 'resume', 'test']
    assert all(': OK (' in sentence for sentence in said)
    assert train == ['mmgcvit', 'train', f'{tmp_path}/config.py']
    assert resume[:5] == [*train, '--resume', '--cfg-options']
    assert test == ['mmgcvit', 'test', f'{tmp_path}/config.py', 'epoch_1.pth']
    programs, _, passed = rehearsed(OBSERVED, cfg=whole(test_cfg=None))
    assert passed
    assert len(programs) == 2


def test_the_first_step_that_fails_ends_the_rehearsal_and_says_why(rehearsed, tmp_path):
    """Of a program that has observed nothing, what the step before has is not taken for its own."""
    for observed, exit_codes, words in (
        ([None], (1,), ['build: FAILED after ']),
        (
            OBSERVED,
            (0, 3),
            ['resume: FAILED after ', 'exit code 3\n  | line 5 of 1\n', '  | line 29 of 1\n  whole log:'],
        ),
        ([TRAINED, None], (0, 0), ['resume: FAILED', 'it ended without having trained or tested']),
        ([{**TRAINED, 'num_moved': 0}], (0,), ['train: FAILED', 'did not change the weights of the model']),
    ):
        programs, said, passed = rehearsed(observed, exit_codes)
        assert not passed
        assert len(programs) == len(exit_codes)
        assert all(each in said[-1] for each in words)


@pytest.fixture
def runner(tmp_path):
    """A model of three parts, of which one is frozen, and one does not take part."""
    model = nn.ModuleDict({name: nn.Linear(2, 1, bias=False) for name in ('used', 'frozen', 'idle')})
    model['frozen'].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    wrapper = SimpleNamespace(optimizer=optimizer)
    return SimpleNamespace(model=model, iter=0, work_dir=str(tmp_path), optim_wrapper=wrapper)


def observed_of(hook, runner, steps, scale=1.0):
    """What a hook observes of a training; and its losses."""
    losses = []
    hook.before_train(runner)
    for _ in range(steps):
        loss = scale * runner.model['frozen'](runner.model['used'].weight).sum()
        loss.backward()
        runner.optim_wrapper.optimizer.step()
        runner.iter += 1
        hook.after_train_iter(runner, 0, outputs={'loss': loss.detach(), 'maps': torch.zeros(2)})
        losses.append({'loss': loss.item()})
    hook.after_train(runner)
    with open(f'{runner.work_dir}/{FILE}') as file:  # noqa: PTH123
        return json.load(file), losses


def test_losses_and_weights_with_and_without_gradients_are_observed(runner):
    observed, losses = observed_of(DryRunObserver(), runner, steps=2)
    assert observed['losses'] == losses
    assert (observed['start'], observed['end']) == (0, 2)
    assert (observed['num_weights'], observed['num_moved']) == (2, 1)
    assert observed['without_gradient'] == ['idle.weight']
    assert observed['unmoved_parts'] == []
    assert observed['start_state'][1] == 0 < observed['end_state'][1], 'what the optimizer keeps'


@pytest.mark.parametrize(('scale', 'unmoved'), [(1.0, ['used']), (1e-9, [])])
def test_a_part_with_a_gradient_that_does_not_move_is_observed(runner, scale, unmoved):
    """But one whose gradients are too small to move it is not."""
    for group in runner.optim_wrapper.optimizer.param_groups:
        group['lr'] = 0.0
    assert observed_of(DryRunObserver(), runner, 1, scale)[0]['unmoved_parts'] == unmoved


def test_predictions_are_summed_and_the_truth_is_not(runner):
    """Of scores those are left out that are no numbers: of classes that no image shows, and tables."""
    sample = BaseDataElement(
        gt_instances=InstanceData(scores=torch.tensor([100.0])),
        pred_instances=InstanceData(scores=torch.tensor([1.0, 2.0]), labels=torch.tensor([3, 4])),
        pred_score=torch.tensor(0.5),
        pred_text='a dog',
    )
    assert sum_of_predictions([sample, 'no sample']) == 10.5
    hook = DryRunObserver()
    for outputs in ([sample], [sample], None):
        hook.after_val_iter(runner, 0, outputs=outputs)
        hook.after_test_iter(runner, 0, outputs=outputs)
    hook.after_val_epoch(runner, {'mAP': 0.5, 'nan': float('nan'), 'text': 'text', 'map': torch.zeros(2)})
    hook.after_test_epoch(runner, {'mAP': torch.tensor(0.25)})
    assert (hook.observed['val_predictions'], hook.observed['test_predictions']) == (21.0, 21.0)
    assert (hook.observed['val'], hook.observed['test']) == ({'mAP': 0.5}, {'mAP': 0.25})
