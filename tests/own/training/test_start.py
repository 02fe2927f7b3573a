"""``train --data --start`` takes all weights of a model, matches classes by name, and refuses what does
not fit with a sentence.
"""

import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmgcvit.checkpoints.grids import SETTINGS
from mmgcvit.checkpoints.licences import LIMIT
from mmgcvit.engine.hooks.exact_resume import get_plain_settings
from mmgcvit.errors import UserError
from mmgcvit.host.config import CONFIGS, read_config
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.training.config import make_config
from mmgcvit.own.training.options import make_options
from mmgcvit.own.training.resuming import check_same_options
from mmgcvit.own.training.start import find_size_of_checkpoint, find_start
from mmgcvit.own.training.templates import TEMPLATES
from mmgcvit.runs.folder import RunFolder

from ..data.formats.made import write_example


@pytest.fixture
def old(empty_folder):
    """Write the work dir of a run of --task classify, with a checkpoint, and return it."""
    write_example(Path('photos'), 'classes')
    run = RunFolder(Path('old'))
    made, _ = make_config(read_folder(Path('photos')), run.path, size='xtiny')
    cfg = Config.fromfile(made)
    cfg.dump(run.path / made.name)
    meta = {SETTINGS: get_plain_settings(cfg)}
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': meta}, run.path / 'epoch_1.pth')
    (run.path / 'last_checkpoint').write_text('epoch_1.pth')
    return run


@pytest.mark.parametrize('source', ['old', 'old/epoch_1.pth', './old/', '{}/old'])
def test_the_start_is_noted_and_gives_the_weights_and_the_size(source, old):
    source = source.format(Path.cwd())
    made, summary = make_config(read_folder(Path('photos')), 'new', start=source)
    cfg = Config.fromfile(made)
    assert cfg.load_from == str(Path('old/epoch_1.pth').absolute())
    assert cfg.model.backbone.init_cfg is None
    assert (cfg.started_with.start, cfg.started_with.size) == (source, 'xtiny')
    assert f'from all weights of {cfg.load_from}' in summary


def test_a_checkpoint_runs_no_code_beside_it(old):
    Path('files').mkdir()
    checkpoint = shutil.copy('old/epoch_1.pth', 'files')
    Path('files/train.py').write_text('open("executed", "w")')
    assert find_start(checkpoint, TEMPLATES['classes']).size == 'xtiny'
    assert not Path('executed').exists()


@pytest.mark.parametrize(
    'meta',
    [
        {},
        {SETTINGS: 'a'},
        {SETTINGS: {'model': {'backbone': ['mmgcvit.GCViT']}}},
        {SETTINGS: {'model': {'backbone': {'type': 'mmgcvit.GCViT', 'arch': {'depths': 1}}}}},
    ],
)
def test_the_size_of_other_checkpoints_is_not_known(meta):
    assert find_size_of_checkpoint({'meta': meta}, TEMPLATES['masks']) is None


@pytest.mark.parametrize('template', TEMPLATES.values(), ids=lambda each: each.option)
def test_the_size_is_known_by_the_settings_of_a_checkpoint(template):
    for size in ('mini', 'tiny'):
        settings = get_plain_settings(read_config(CONFIGS / template.networks[size]))
        assert find_size_of_checkpoint({'meta': {SETTINGS: settings}}, template) == size


def test_a_resumed_run_has_the_start_of_its_beginning(old):
    made, _ = make_config(read_folder(Path('photos')), 'new', start='old')
    shutil.copy(made, 'new')
    check_same_options(RunFolder(Path('new')), make_options(start='old'))
    check_same_options(RunFolder(Path('new')), make_options())
    for run, other in (('new', 'old/epoch_1.pth'), ('old', 'old')):
        with pytest.raises(UserError, match='--start cannot be changed when a run is resumed'):
            check_same_options(RunFolder(Path(run)), make_options(start=other))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'start': 'none'}, '--start none: there is no such run or checkpoint. Expected the work'),
        ({'start': 'photos'}, 'photos is not the work dir of a run'),
        ({'start': 'old', 'pretrained': 'none'}, '--pretrained would have no effect. Remove one'),
    ],
)
def test_what_is_not_a_model_is_refused(options, words, old):
    with pytest.raises(UserError, match=re.escape(words)):
        make_config(read_folder(Path('photos')), 'new', **options)
    assert not Path('new').exists()


def test_a_run_of_another_task_is_refused(old):
    write_example(Path('boxes'), 'yolo')
    with pytest.raises(UserError, match=r'--start old: its --task was classify, .* detect'):
        make_config(read_folder(Path('boxes')), 'new', start='old')


@pytest.mark.slow
def test_a_training_starts_from_a_run_with_other_classes(call):
    """One line says which classes are kept, new and left; another size is refused."""
    write_example(Path('photos'), 'classes')
    common = ['--device', 'cpu', '--size', 'mini', '--workers', 0, '--epochs', 1]
    code, printed = call('train', '--data', 'photos', '--work-dir', 'old', *common)
    assert code == 0, printed
    shutil.copytree('photos', 'more')
    for split in ('train', 'val'):
        Path('more', split, 'disc').rename(Path('more', split, 'ring'))
    new = ['--data', 'more', '--work-dir', 'new', *common]
    code, printed = call('train', *new, '--start', 'old')
    assert code == 0, printed
    assert re.search(
        r'load_from=\S+old/\S+\.pth: \d+ tensors of the model loaded \(backbone, head\), 0 keep initial '
        r'values; classes by name: kept: square; new: ring; left: disc',
        printed,
    )
    code, printed = call('train', *new, '--epochs', 2, '--start', 'old', '--resume')
    assert code == 0, printed
    assert 'classes by name' not in printed
    code, printed = call('train', *new, '--start', 'photos', '--resume')
    assert (code, '--start cannot be changed' in printed) == (1, True)
    options = ['--work-dir', 'other', '--size', 'xxtiny', '--start', 'old']
    code, printed = call('train', '--data', 'more', *options, '--device', 'cpu')
    assert code == 1
    assert (
        '--start takes all weights of a model of the same network: set --task and --size' in printed
    )


@pytest.mark.parametrize('option', ['start', 'pretrained'])
@pytest.mark.parametrize('noted', ['meta', 'settings'])
def test_what_limits_the_weights_of_a_run_limits_those_that_start_from_it(noted, option, old):
    """Also from the run after it: each notes it. Weights without a limit get none."""
    checkpoint = old.path / 'epoch_1.pth'
    content = torch.load(checkpoint)
    content['meta'][SETTINGS]['model']['backbone']['init_cfg'] = None
    torch.save(content, checkpoint)
    photos = read_folder(Path('photos'))
    made, summary = make_config(photos, 'free', size='xtiny', **{option: str(checkpoint)})
    assert Config.fromfile(made).started_with.weights_limit is None
    assert 'commercial' not in summary
    released = {'type': 'Pretrained', 'checkpoint': 'timm://gcvit_xtiny'}
    if noted == 'meta':
        content['meta'][LIMIT] = 'not for commercial use'
    else:
        content['meta'][SETTINGS]['model']['backbone']['init_cfg'] = released
    torch.save(content, checkpoint)
    made, summary = make_config(photos, 'new', size='xtiny', **{option: str(checkpoint)})
    assert Config.fromfile(made).started_with.weights_limit == 'not for commercial use'
    assert summary.endswith(', which are not for commercial use')
