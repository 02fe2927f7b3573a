"""docs/custom_dataset.md: its commands run as they stand there, and what it quotes is so."""

import re
import shlex
import shutil

import pytest
from mmengine.config import Config

from mmgcvit.hosts.configs import read_config

from ..conftest import ROOT
from ..tools.commands import call
from .own_data import TEMPLATES

PAGE = (ROOT / 'docs' / 'custom_dataset.md').read_text()


def blocks(language):
    return re.findall(rf'^```{language}\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)


def commands(script):
    """The arguments of the page's calls of a script of tools/, or of a command."""
    lines = [line for block in blocks('bash') for line in block.splitlines()]
    begins = (f'python tools/{script}.py', f'mmgcvit {script} ')
    return [shlex.split(line)[2:] for line in lines if line.startswith(begins)]


@pytest.fixture
def copied(tmp_path):
    """A copy of configs/, in it the copy of a template that the page speaks of, its lines changed."""

    def copy(template):
        write, classes = TEMPLATES[template]
        write(tmp_path / 'data')
        shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
        text = (ROOT / 'configs' / f'{template}.py').read_text()
        lines = {'data_root': str(tmp_path / 'data'), 'classes': classes, 'image_size': 64, 'max_epochs': 1}
        for name, value in (lines | {'pretrained': None}).items():
            text = re.sub(rf'^{name} = .*', f'{name} = {value!r}', text, flags=re.MULTILINE)
        (tmp_path / 'configs' / 'my_model.py').write_text(text)
        return tmp_path

    return copy


def run(folder, script, *more):
    """Run the page's first command of a script, in the folder instead of the project's."""
    arguments = [
        str(folder / argument) if argument.startswith(('configs/', 'samples', 'pictures')) else argument
        for argument in commands(script)[-1]
    ]
    found = [str(path) for path in (folder / 'work_dirs').rglob('best_*.pth')]
    arguments = [part for word in arguments for part in (found if word.startswith('work_dirs/') else [word])]
    return call('', '-m', 'mmgcvit', script, *arguments, *more, COLUMNS='400')


@pytest.mark.slow
@pytest.mark.long
def test_the_first_afternoon(copied):
    folder = copied('custom_cls')
    assert 'no problem was found' in run(folder, 'check-data')
    assert (folder / 'samples.jpg').is_file()
    in_folder = '--work-dir', folder / 'work_dirs' / 'my_model'
    run(folder, 'train', *in_folder)
    assert 'accuracy/top1' in run(folder, 'test', *in_folder)
    assert len(list((folder / 'pictures').rglob('*.png')) + list((folder / 'pictures').rglob('*.jpg'))) == 2


def test_the_page_names_the_commands_in_their_order():
    order = [
        PAGE.index(f'{command} configs/my_model.py')
        for command in ('mmgcvit check-data', 'mmgcvit dry-run', 'python tools/test.py')
    ]
    assert order == sorted(order)
    assert ['configs/my_model.py'] in commands('train')


def test_the_options_of_the_page_take_effect():
    (arguments,) = [words for words in commands('train') if '--cfg-options' in words]
    options = dict(word.split('=') for word in arguments[2:])
    given = {'max_epochs': int(options['max_epochs']), 'image_size': int(options['image_size'])}
    cfg = read_config('configs/custom_coco.py', given | {'classes': options['classes'].split(',')})
    assert (cfg.train_cfg.max_epochs, cfg.test_pipeline[2].scale, cfg.num_classes) == (24, (1066, 640), 2)


def test_the_quoted_lines_are_the_templates():
    assert blocks('python')[0] in (ROOT / 'configs' / 'custom_coco.py').read_text()


@pytest.mark.parametrize('base', ["'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'"])
def test_a_hosts_config_is_inherited_by_name(base, tmp_path):
    assert base in PAGE
    (tmp_path / 'config.py').write_text(f'_base_ = {base}')
    assert Config.fromfile(tmp_path / 'config.py').model.type == 'MaskRCNN'


def test_dino_takes_the_place_of_faster_rcnn_as_the_page_says(tmp_path):
    """Two changes of the template: what it inherits from, and where the number of classes stands."""
    text = (ROOT / 'configs' / 'custom_coco_boxonly.py').read_text()
    roi_head = 'roi_head=dict(bbox_head=dict(num_classes=num_classes), mask_roi_extractor=None, mask_head=None),'
    changes = {
        "_base_ = 'faster_rcnn_gcvit_t_boxonly.py'": f"_base_ = '{ROOT}/configs/dino_gcvit_t_12e.py'",
        roi_head: 'bbox_head=dict(num_classes=num_classes),',
    }
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    (tmp_path / 'config.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'config.py')
    assert (cfg.model.type, cfg.model.bbox_head.num_classes) == ('mmgcvit.DINO', 2)
    assert 'roi_head' not in cfg.model
