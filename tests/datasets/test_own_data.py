"""Own data: the config made for a folder, rejected options, and whole runs."""

import re
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmgcvit.commands.main import run_command
from mmgcvit.datasets.formats import read_folder
from mmgcvit.datasets.own_data import MINI, RECIPES, make_config
from mmgcvit.engine.setup import check_data
from mmgcvit.errors import UserError

from ..configs.models import build_on_meta
from ..configs.own_data import write_coco, write_folders, write_label_maps, write_yolo
from ..tools.commands import call

DATA = {'boxes': write_yolo, 'masks': write_coco, 'labels': write_label_maps, 'classes': write_folders}


@pytest.fixture
def make(tmp_path):
    """Write data of a kind, and make a config for it."""

    def make(kind, **options):
        root = tmp_path / kind
        if not root.exists():
            DATA[kind](root)
        options = {'work_dir': tmp_path / 'work_dirs' / kind} | options
        path, said = make_config(read_folder(root), **options)
        return SimpleNamespace(path=path, said=said, cfg=Config.fromfile(path))

    return make


@pytest.mark.parametrize(
    ('kind', 'size'), [(kind, size) for kind, recipe in RECIPES.items() for size in (MINI, *recipe.sizes)]
)
def test_a_network_of_each_size_is_built_for_the_data(kind, size, make):
    made = make(kind, size=size)
    check_data(made.cfg, ['train_dataloader', 'val_dataloader'])
    build_on_meta(made.cfg)
    heads = set(re.findall(r"'num_classes': (\d+)", str(made.cfg.model.to_dict())))
    assert heads == {'3' if kind == 'labels' else '2'}
    arch = made.cfg.model.backbone.arch
    assert arch == size or (size == MINI and arch.embed_dims == 16)
    start = made.cfg.load_from if size == MINI else made.cfg.model.backbone.init_cfg.checkpoint
    assert start.endswith((f'{RECIPES[kind].mini}.safetensors', f'gcvit_1k_{size}.pth.tar'))
    assert len(made.path.read_text().splitlines()) < 200


def test_options_stand_in_the_config_and_are_said(make, tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.touch()
    made = make('boxes', size='small', epochs=7, image_size=320, pretrained=weights)
    assert (made.cfg.train_cfg.max_epochs, made.cfg.param_scheduler[1].end) == (7, 7)
    assert made.cfg.test_dataloader.dataset.pipeline[2].scale == (533, 320)
    assert made.cfg.model.backbone.init_cfg.checkpoint == str(weights)
    for words in ('YOLO', '5 images (train), 1 image (val)', 'Faster R-CNN, --size small, at 320 px, 7 epochs'):
        assert words in made.said
    made = make('labels', pretrained='none', size=MINI, epochs=3)
    # 4 images in batches of 8.
    assert (made.cfg.train_cfg.max_iters, made.cfg.load_from, made.cfg.model.backbone.init_cfg) == (3, None, None)
    assert 'scores will be low' in made.said
    assert make('masks', task='detect').cfg.train_dataloader.dataset.pipeline[2].get('with_mask') is None
    # The user's own annotation files are trained on where they are.
    assert make('masks').cfg.train_dataloader.dataset.ann_file == 'annotations/train.json'


@pytest.mark.parametrize(
    ('kind', 'options', 'words'),
    [
        ('boxes', {'task': 'segment'}, 'has no annotations to segment; expected --task detect'),
        ('boxes', {'size': 'large'}, '--size large: to detect there are mini, tiny, small, base'),
        ('classes', {'size': 'huge'}, 'to classify there are mini, xxtiny, xtiny, tiny, small, base, large'),
        ('boxes', {'pretrained': 'no.pth'}, 'no.pth: no such file; expected one, an address'),
        ('boxes', {'work_dir': 'boxes/run'}, 'would be within the data; start in another folder'),
    ],
)
def test_options_that_cannot_be_are_rejected(kind, options, words, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(words)):
        make(kind, **options)
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'expected either a CONFIG or --data FOLDER'),
        (['a.py', '--epochs', 3], '--epochs: allowed only with --data; for a CONFIG, edit it or use --cfg-options'),
        (['--data', '.', '--launcher', 'pytorch'], '--data trains in one process'),
        (['--data', '.', '--epochs', 0], '--epochs 0: expected at least 1'),
        (['.'], '. is a folder; to train on its data, use --data .'),
    ],
)
def test_arguments_that_do_not_fit_are_rejected(arguments, words):
    with pytest.raises(SystemExit, match=re.escape(words)):
        run_command('train', arguments)


@pytest.mark.long
@pytest.mark.parametrize('write', [write_yolo, write_coco, write_label_maps, write_folders])
def test_a_folder_becomes_a_model_in_one_line(write, tmp_path):
    """And for classes, the run is resumed by the same line and by the config, which trains again."""
    write(tmp_path / 'photos')
    own = '--data', tmp_path / 'photos', '--epochs', 1, '--work-dir', tmp_path / 'run'
    said = call('', '-m', 'mmgcvit', 'train', *own)
    assert re.search(r'(bbox_mAP|mIoU|accuracy/top1): ', said)
    photo = next((tmp_path / 'photos').rglob('*.jpg'))
    call('', '-m', 'mmgcvit', 'predict', tmp_path / 'run', photo, '--out-dir', tmp_path / 'found', '--device', 'cpu')
    assert (tmp_path / 'found' / 'vis' / photo.name).is_file()
    made = tmp_path / 'run' / 'made' / 'photos.py'
    assert made.is_file()
    if write is not write_folders:
        return
    for source in (own, [made]):
        said = call('', '-m', 'mmgcvit', 'train', *source, '--resume', '--device', 'cpu')
        assert re.search(r'resumed epoch: \d+, iter: [1-9]', said)
    lora = '--cfg-options', 'model.backbone.lora_rank=8'
    call('', '-m', 'mmgcvit', 'train', made, '--work-dir', tmp_path / 'again', *lora)
    assert list((tmp_path / 'again').glob('best_*.pth'))
