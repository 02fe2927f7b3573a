"""From a config and a checkpoint, or from a work dir alone, to a model; what does not belong together is refused."""

import os
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

from mmgcvit import GCViT, load
from mmgcvit.checkpoints import CheckpointError, save_whole
from mmgcvit.inference import UserError
from mmgcvit.inference.loading import colours_of, find_source, for_pictures, names_of

from .conftest import CLASSES, config_of, make_work_dir, picture_of


@pytest.fixture
def run_dir(work_dirs, tmp_path):
    """A copy of a work dir, of a classifier."""
    return shutil.copytree(work_dirs['classification'], tmp_path / 'run')


def test_the_task_is_known_by_the_config(work_dir, task):
    model = load(work_dir, device='cpu')
    assert model.task == task
    assert model.classes == CLASSES[task]
    assert len(model.palette) == len(model.classes)


def test_a_config_and_a_checkpoint_are_named(work_dirs):
    folder = work_dirs['classification']
    assert load(folder / 'classify.py', folder / 'epoch_1.pth', 'cpu').task == 'classification'


def test_of_a_work_dir_the_best_checkpoint_is_taken_then_the_newest(run_dir):
    assert find_source(run_dir).checkpoint == str(run_dir / 'epoch_1.pth')
    shutil.copy(run_dir / 'epoch_1.pth', run_dir / 'epoch_2.pth')
    assert find_source(run_dir).checkpoint == str(run_dir / 'epoch_2.pth')
    shutil.copy(run_dir / 'epoch_1.pth', run_dir / 'best_accuracy_top1_epoch_1.pth')
    assert find_source(run_dir).checkpoint == str(run_dir / 'best_accuracy_top1_epoch_1.pth')
    assert find_source(run_dir, 'other.pth').checkpoint == 'other.pth'


def test_damaged_checkpoints_of_a_work_dir_are_passed_over(run_dir):
    for name in ('best_accuracy_top1_epoch_1.pth', 'epoch_2.pth'):
        (run_dir / name).write_bytes((run_dir / 'epoch_1.pth').read_bytes()[:1000])
    assert find_source(run_dir).checkpoint == str(run_dir / 'epoch_1.pth')


def test_a_work_dir_without_a_whole_checkpoint_is_refused(run_dir):
    (run_dir / 'epoch_1.pth').write_bytes(b'torn')
    with pytest.raises(UserError, match=r'no whole .* damaged: .*epoch_1\.pth; name a checkpoint'):
        load(run_dir)


def test_a_work_dir_has_one_config(run_dir):
    shutil.copy(run_dir / 'classify.py', run_dir / 'other.py')
    with pytest.raises(UserError, match=r'holds 2 configs \(classify\.py, other\.py\)'):
        load(run_dir)
    for path in run_dir.glob('*.py'):
        path.unlink()
    with pytest.raises(UserError, match='holds no config'):
        load(run_dir)


def test_what_is_missing_is_named(work_dirs):
    config = work_dirs['classification'] / 'classify.py'
    with pytest.raises(UserError, match=r'there is no config nowhere\.py'):
        load('nowhere.py', 'x.pth')
    with pytest.raises(UserError, match='name a checkpoint of it'):
        load(config)
    with pytest.raises(CheckpointError, match=r'there is no checkpoint nowhere\.pth'):
        load(config, 'nowhere.pth')


def test_what_is_no_config_is_refused(tmp_path, work_dirs):
    checkpoint = work_dirs['classification'] / 'epoch_1.pth'
    (tmp_path / 'words.py').write_text('these are words')
    with pytest.raises(UserError, match='is no config'):
        load(tmp_path / 'words.py', checkpoint)
    (tmp_path / 'empty.py').write_text('')
    with pytest.raises(UserError, match='expected a model of mmdet, mmseg, mmpretrain'):
        load(tmp_path / 'empty.py', checkpoint)
    (tmp_path / 'untested.py').write_text("default_scope = 'mmdet'\nmodel = dict(type='MaskRCNN')\n")
    with pytest.raises(UserError, match='names no pipeline with LoadImageFromFile'):
        load(tmp_path / 'untested.py', checkpoint)


def test_a_checkpoint_of_another_network_is_refused(work_dirs):
    with pytest.raises(CheckpointError, match="does not fit the config's model"):
        load(work_dirs['classification'] / 'classify.py', work_dirs['segmentation'] / 'epoch_1.pth')


def test_a_checkpoint_of_a_backbone_alone_is_refused(work_dirs, tmp_path):
    torch.save({'state_dict': GCViT('xxtiny').state_dict()}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match="does not fit the config's model"):
        load(work_dirs['detection'] / 'detect.py', tmp_path / 'x.pth')


class RunsACommand:
    """Unpickled, this touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def test_no_code_of_a_checkpoint_runs_unless_it_is_trusted(run_dir, tmp_path):
    content = torch.load(run_dir / 'epoch_1.pth', weights_only=False)
    torch.save({**content, 'extra': RunsACommand(tmp_path / 'ran')}, run_dir / 'own.pth')
    with pytest.raises(CheckpointError, match='could run code'):
        load(run_dir, run_dir / 'own.pth', 'cpu')
    assert not (tmp_path / 'ran').exists()
    assert load(run_dir, run_dir / 'own.pth', 'cpu', trust_checkpoint=True).task == 'classification'
    assert (tmp_path / 'ran').exists()


HOSTILE_META = {
    'none': {},
    'no dict': {'dataset_meta': ['a']},
    'text': {'dataset_meta': {'classes': '0123456789'}},
    'numbers': {'dataset_meta': {'classes': list(range(10))}},
    'too few': {'dataset_meta': {'classes': ['a']}},
    'no text as key': {'dataset_meta': {1: 2, None: 3}},
    'palette': {'dataset_meta': {'palette': [(1, 2, 'x')] * 10}},
}


@pytest.mark.parametrize('meta', HOSTILE_META.values(), ids=HOSTILE_META)
def test_names_that_a_checkpoint_cannot_mean_are_not_taken(meta, run_dir):
    """Hosts take COCO's or Cityscapes' in their place."""
    content = torch.load(run_dir / 'epoch_1.pth', weights_only=False)
    save_whole({**content, 'meta': meta}, run_dir / 'epoch_1.pth')
    assert load(run_dir, device='cpu').classes == [f'class {number}' for number in range(10)]


def test_names_of_the_config_are_taken_where_the_checkpoint_has_none(tmp_path):
    folder = make_work_dir(tmp_path / 'run', 'segmentation')
    content = torch.load(folder / 'epoch_1.pth', weights_only=False)
    save_whole({'state_dict': content['state_dict']}, folder / 'epoch_1.pth')
    assert load(folder, device='cpu').classes == CLASSES['segmentation']


def test_names_of_older_checkpoints_are_known(models, work_dirs):
    model = models['classification']
    names = [f'number {number}' for number in range(10)]
    dataset = config_of('classification').test_dataloader.dataset
    assert names_of({'CLASSES': names}, dataset, model.network) == names


def test_names_do_nothing_to_a_terminal(models):
    model = models['classification']
    names = ['\x1b[2J', *(f'number {number}' for number in range(9))]
    dataset = config_of('classification').test_dataloader.dataset
    assert names_of({'CLASSES': names}, dataset, model.network)[0] == '\\x1b[2J'


def test_classes_without_colours_get_different_ones():
    dataset = config_of('classification').test_dataloader.dataset
    assert len(set(colours_of({}, dataset, list(map(str, range(150)))))) == 150
    assert colours_of({'PALETTE': [[1, 2, 3], [4, 5, 6]]}, dataset, ['a', 'b']) == [(1, 2, 3), (4, 5, 6)]


@pytest.mark.parametrize('threshold', [-0.1, 1.1])
def test_a_threshold_is_a_score(threshold, work_dirs):
    with pytest.raises(UserError, match=r'expected a score from 0 to 1$'):
        load(work_dirs['detection'], device='cpu', score_thr=threshold)


def test_a_threshold_is_of_detectors(work_dirs):
    with pytest.raises(UserError, match='only of a detector are objects left out by score; this is classification'):
        load(work_dirs['classification'], device='cpu', score_thr=0.5)


def test_a_config_is_made_fit_for_the_hosts_inferencers():
    """A data set that wraps another, types with scopes and as classes, annotations, a service that tracks runs."""
    from mmcv.transforms import LoadImageFromFile

    for load_type in ('mmseg.LoadImageFromFile', LoadImageFromFile):
        cfg = config_of('segmentation')
        inner = cfg.test_dataloader.dataset
        inner.pipeline = [
            {'type': load_type, 'color_type': 'color'},
            {'type': 'mmseg.LoadAnnotations'},
            {'type': 'PackSegInputs'},
        ]
        cfg.test_dataloader.dataset = {'type': 'RepeatDataset', 'dataset': inner, 'times': 2}
        before = cfg.to_dict()
        fit = for_pictures(cfg, 'x.py')
        steps = fit.test_dataloader.dataset.pipeline
        assert steps == inner.pipeline
        assert cfg.to_dict() == before


@pytest.mark.parametrize(
    'name',
    ['mask_rcnn_gcvit_t', 'dino_gcvit_t_12e', 'upernet_gcvit_t', 'gcvit_t_in1k', 'lsa_t_cifar100', 'custom_coco'],
)
def test_configs_of_this_project_are_fit(name):
    path = f'configs/{name}.py'
    cfg = Config.fromfile(path)
    for_pictures(cfg, path)


def test_a_classifier_of_cifar_sees_pictures_as_it_saw_cifar(tmp_path):
    """Its data set gives arrays of 32 x 32, red, green, blue, to a pipeline that does nothing to them."""
    cfg = Config.fromfile('configs/lsa_t_cifar10.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}).eval()
    torch.save({'state_dict': network.state_dict()}, tmp_path / 'x.pth')
    model = load('configs/lsa_t_cifar10.py', tmp_path / 'x.pth', 'cpu')
    assert model.classes[9] == 'truck'
    picture = picture_of(32, 32)
    stored = torch.from_numpy(picture[..., ::-1].transpose(2, 0, 1).copy())
    with torch.no_grad():
        (sample,) = network.test_step({'inputs': [stored], 'data_samples': [DataSample()]})
    np.testing.assert_allclose(model(picture).scores, sample.pred_score.numpy(), atol=1e-5)
    assert model(picture_of(200, 300)).scores.shape == (10,)


@pytest.mark.parametrize('program', ['model = nothing', 'model = {}["type"]', 'raise KeyError()'])
def test_a_config_that_does_not_run_is_told_in_a_sentence(program, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(program)
    (tmp_path / 'x.pth').touch()
    with pytest.raises(UserError, match='is no config: '):
        load(path, tmp_path / 'x.pth')


def test_a_batch_of_no_images_is_refused(models):
    with pytest.raises(UserError, match='batch_size=0: expected at least 1'):
        models['classification'](['a.jpg'], batch_size=0)
