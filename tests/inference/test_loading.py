"""From a config and a checkpoint, or from a work dir alone, to a model; what does not belong together is refused."""

import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample

from mmgcvit import GCViT, load
from mmgcvit.checkpoints import CheckpointError, save_checkpoint
from mmgcvit.device import chosen_device
from mmgcvit.inference import UserError
from mmgcvit.inference.loading import build_predictor, find_class_names, prepare_config
from mmgcvit.inference.sources import find_source

from ..checkpoints.conftest import RunsACommand
from .conftest import CLASSES, config_of, make_work_dir, picture_of


@pytest.fixture
def run_dir(work_dirs, tmp_path):
    """A copy of a work dir, of a classifier."""
    return shutil.copytree(work_dirs['classification'], tmp_path / 'run')


def test_the_task_is_known_by_the_config(work_dir, task):
    (config,) = work_dir.glob('*.py')
    for model in (load(work_dir, device='cpu'), load(config, work_dir / 'epoch_1.pth', 'cpu')):
        assert model.task == task
        assert model.classes == CLASSES[task]
        assert len(model.palette) == len(model.classes)


def test_of_a_work_dir_the_best_checkpoint_is_taken_then_the_newest(run_dir):
    """Damaged ones are passed over."""
    best = run_dir / 'best_accuracy_top1_epoch_1.pth'
    assert find_source(run_dir).checkpoint == str(run_dir / 'epoch_1.pth')
    (run_dir / 'last_checkpoint').write_text(str(run_dir / 'epoch_2.pth'))
    for path in (run_dir / 'epoch_2.pth', best):
        path.write_bytes((run_dir / 'epoch_1.pth').read_bytes()[:1000])
        assert find_source(run_dir).checkpoint == str(run_dir / 'epoch_1.pth')
    for path in (run_dir / 'epoch_2.pth', best):
        shutil.copy(run_dir / 'epoch_1.pth', path)
        assert find_source(run_dir).checkpoint == str(path)
    assert find_source(run_dir, run_dir / 'epoch_1.pth').checkpoint == str(run_dir / 'epoch_1.pth')


def test_what_is_no_source_is_refused_in_a_sentence(run_dir, work_dirs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'words.py').write_text('these are words')
    (tmp_path / 'empty.py').write_text('')
    (tmp_path / 'untested.py').write_text("default_scope = 'mmdet'\nmodel = dict(type='MaskRCNN')\n")
    (tmp_path / 'failing.py').write_text('raise KeyError()')
    torn, two, none = (shutil.copytree(run_dir, tmp_path / name) for name in ('torn', 'two', 'none'))
    (torn / 'epoch_1.pth').write_bytes(b'torn')
    shutil.copy(two / 'classify.py', two / 'other.py')
    (none / 'classify.py').unlink()
    whole = run_dir / 'epoch_1.pth'
    for arguments, words in {
        (torn,): r'no checkpoint that can be read \(.*epoch_1\.pth is not a checkpoint.*; name one',
        (two,): r'holds 2 configs \(classify\.py, other\.py\)',
        (none,): 'holds no config',
        ('nowhere.py', 'x.pth'): r'there is no config nowhere\.py',
        (run_dir / 'classify.py',): 'name a checkpoint of it',
        (run_dir / 'classify.py', 'nowhere.pth'): r'there is no checkpoint nowhere\.pth',
        ('words.py', whole): 'is not a config: ',
        ('failing.py', whole): 'is not a config: ',
        ('empty.py', whole): 'expected a model of mmdet, mmseg, mmpretrain',
        ('untested.py', whole): 'names no pipeline with LoadImageFromFile',
        (run_dir, None, 'tpu'): "device 'tpu': expected auto, cpu, cuda or cuda:N",
        (run_dir, None, 'cpu', 0.5): 'only a detector has a score threshold; this is classification',
    }.items():
        with pytest.raises(UserError, match=words):
            load(*arguments)
    for threshold in (-0.1, 1.1):
        with pytest.raises(UserError, match=r'expected a score from 0 to 1$'):
            load(work_dirs['detection'], device='cpu', score_thr=threshold)


def test_a_checkpoint_of_another_network_is_refused(work_dirs, tmp_path):
    """Also one of a backbone alone."""
    torch.save({'state_dict': GCViT('xxtiny').state_dict()}, tmp_path / 'x.pth')
    for checkpoint in (tmp_path / 'x.pth', work_dirs['segmentation'] / 'epoch_1.pth'):
        with pytest.raises(CheckpointError, match="does not fit the config's model"):
            load(work_dirs['classification'] / 'classify.py', checkpoint)


def test_no_code_of_a_checkpoint_runs_unless_it_is_trusted(run_dir, tmp_path):
    content = torch.load(run_dir / 'epoch_1.pth', weights_only=False)
    torch.save({**content, 'extra': RunsACommand(tmp_path / 'ran')}, run_dir / 'own.pth')
    assert load(run_dir, run_dir / 'own.pth', 'cpu').task == 'classification'
    assert not (tmp_path / 'ran').exists()
    assert load(run_dir, run_dir / 'own.pth', 'cpu', trust_checkpoint=True).task == 'classification'
    assert (tmp_path / 'ran').exists()


def test_names_are_the_checkpoints_else_the_configs_else_made_up(models, tmp_path):
    """Where a checkpoint has none that it can mean, hosts take COCO's or Cityscapes'."""
    dataset, network = config_of('classification').test_dataloader.dataset, models['classification'].network
    named = [f'number {number}' for number in range(10)]
    for meta, names in (
        ({'dataset_meta': {'classes': named}}, named),
        ({'CLASSES': named}, named),
        ({'CLASSES': ['\x1b[2J', *named[1:]]}, ['\\x1b[2J', *named[1:]]),
        *(
            (meta, [f'class {number}' for number in range(10)])
            for meta in (
                None,
                ['a'],
                {},
                {'dataset_meta': ['a']},
                {'dataset_meta': {'classes': '0123456789'}},
                {'dataset_meta': {'classes': list(range(10))}},
                {'dataset_meta': {'classes': ['a']}},
                {'dataset_meta': {1: 2, None: 3}},
            )
        ),
    ):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            assert find_class_names(meta, dataset, network) == names, meta
    folder = make_work_dir(tmp_path / 'run', 'segmentation')
    content = torch.load(folder / 'epoch_1.pth', weights_only=False)
    save_checkpoint({'state_dict': content['state_dict']}, folder / 'epoch_1.pth')
    assert load(folder, device='cpu').classes == CLASSES['segmentation']


def test_a_device_is_named_or_the_gpu_where_there_is_one(monkeypatch):
    """For what a GPU is refused is in tests/test_device.py."""
    for is_here, kind in ((False, 'cpu'), (True, 'cuda')):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda is_here=is_here: is_here)
        assert chosen_device() == chosen_device('auto') == torch.device(kind)
    for name in ('gpu', 'cuda:x', 'cpu:3', 'mps', ''):
        with pytest.raises(UserError, match='expected auto, cpu, cuda or cuda:N'):
            chosen_device(name)


def test_a_config_is_made_fit_prepare_config():
    """A data set that wraps another, types with scopes and as classes."""
    from mmcv.transforms import LoadImageFromFile

    for load_type in ('mmseg.LoadImageFromFile', LoadImageFromFile):
        cfg = config_of('segmentation')
        inner = cfg.test_dataloader.dataset
        inner.pipeline = [{'type': load_type, 'color_type': 'color'}, {'type': 'PackSegInputs'}]
        cfg.test_dataloader.dataset = {'type': 'RepeatDataset', 'dataset': inner, 'times': 2}
        before = cfg.to_dict()
        assert prepare_config(cfg, 'x.py').test_dataloader.dataset == inner
        assert cfg.to_dict() == before
    # Nothing is built of what a run draws with: one at a tracking service would begin.
    cfg.visualizer.vis_backends = [{'type': 'NoSuchBackend'}]
    cfg.test_dataloader.dataset.dataset.pipeline[0]['to_float32'] = True
    model = build_predictor(cfg, 'x.py')
    assert model.prepare_image(picture_of(40, 64))['inputs'].dtype == torch.float32
    for name in ('mask_rcnn_gcvit_t', 'dino_gcvit_t_12e', 'upernet_gcvit_t', 'gcvit_t_in1k', 'custom_coco'):
        prepare_config(Config.fromfile(f'configs/{name}.py'), name)


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
