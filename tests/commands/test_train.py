"""``train --data FOLDER --resume`` continues the run of this folder and of these options, and reads
no image.
"""

import shlex
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mmgcvit.commands import train
from mmgcvit.engine.train import train as engine_train
from mmgcvit.errors import UserError
from mmgcvit.host.files import make_portable_path
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.runs.made import choose_work_dir
from mmgcvit.own.training.config import make_config
from mmgcvit.runs.folder import RunFolder

from ..own.data.formats.made import write_example

# Options of a run on class folders, and the values by which one of them is taken by default.
CHOICES = {
    '--size': ['mini', 'tiny'],
    '--image-size': ['96', '128'],
    '--lr': ['0.1'],
    '--task': ['classify'],
    '--augment': ['light', 'strong'],
    '--fine-tune': ['all', 'lora', 'head'],
}
DEFAULTS = {
    '--size': 'tiny' if torch.cuda.is_available() else 'mini',
    '--task': 'classify',
    '--augment': 'light',
    '--fine-tune': 'all',
}
OPTIONS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in CHOICES.items()}
)


def parse(arguments):
    parser = ArgumentParser()
    train.add_options(parser)
    return parser.parse_args(shlex.split(arguments))


def find_run(args):
    return RunFolder(choose_work_dir(args.data, args.work_dir))


def start(data, options='', data_format='classes'):
    """Write what a first start leaves in its work dir. Return the config in it."""
    if not Path(data, 'train').exists():
        write_example(Path(data), data_format)
    args = parse(f'--data {data} {options}')
    run = find_run(args)
    options = train.read_data_options(args).list_given()
    made, _ = make_config(read_folder(*args.data), run.path, **options)
    Config.fromfile(made).dump(run.path / made.name)  # as mmengine does
    return run.path / made.name


def resume(data='photos', options=''):
    args = parse(f'--data {data} --resume {options}')
    given = train.read_data_options(args)
    cfg = train.resume_run(
        find_run(args), [Path(folder) for folder in args.data], given, args.resume
    )
    return Path(make_portable_path(cfg.filename))


def reject(options):
    """Check that a run is not resumed with these options."""
    with pytest.raises(UserError, match='cannot be changed when a run is resumed'):
        resume(options=options)


def join(options):
    return ' '.join(f'{name} {value}' for name, value in options.items())


@settings(max_examples=8)
@given(first=OPTIONS, second=OPTIONS)
def test_a_run_is_resumed_with_some_of_its_own_options_also_those_by_default(
    first, second, tmp_path_factory
):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp('project'))
        start('photos', join(first))
        if second.items() <= (DEFAULTS | first).items():
            assert resume(options=join(second)) == Path('work_dirs/photos/photos.py')
        else:
            reject(join(second))


def test_the_folder_is_known_also_by_other_paths_and_another_folder_is_rejected(
    empty_folder, monkeypatch
):
    start('a/photos')
    write_example(Path('b/photos'), 'classes')
    Path('link').symlink_to('a')
    for path in ('a/photos', './a/../a/photos/', empty_folder / 'a/photos', 'link/photos'):
        assert resume(path)
    work_dir = '--work-dir ../work_dirs/photos'
    monkeypatch.chdir('a')
    assert resume('photos', work_dir)
    monkeypatch.chdir('../b')
    with pytest.raises(
        UserError, match=r'the work dir of a run on .*/a/photos, not on photos\. Set another'
    ):
        resume('photos', work_dir)
    monkeypatch.chdir(empty_folder.rename(empty_folder.with_name('moved')))
    assert resume('a/photos')


def test_only_another_number_of_epochs_writes_another_config_with_the_other_settings(empty_folder):
    config = start('photos', '--size mini --fine-tune lora --epochs 5')
    for options in ('', '--epochs 5', '--workers 0'):
        assert resume(options=options) == config
    for _ in range(2):  # also if the first attempt fails before mmengine writes the config
        made = resume(options='--size mini --epochs 9')
        assert Config.fromfile(made).train_cfg.max_epochs == 9
    before = Config.fromfile(config)
    after = Config.fromfile(made)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {'train_cfg', 'param_scheduler'}


@pytest.mark.parametrize(
    ('first', 'second', 'is_same'),
    [
        ('--tiles', '--tiles', True),
        ('--tiles', '--tiles 192', True),
        ('--tiles 64', '--tiles', True),
        ('--tiles 64', '--tiles 192', False),
        ('', '--tiles', False),
    ],
)
def test_tiles_without_a_side_are_those_of_the_run(first, second, is_same, empty_folder):
    """Its objects are large, so that tiles have the image size by default."""
    start('photos', f'--size mini --image-size 192 {first}', 'coco')
    if is_same:
        resume(options=second)
    else:
        reject(second)


@pytest.mark.slow
def test_an_image_that_is_removed_before_the_threshold_is_chosen_does_not_fail_the_training(
    call, monkeypatch
):
    write_example(Path('photos'), 'coco')

    def train_and_remove(*args, **options):
        engine_train(*args, **options)
        Path('photos/val/4.jpg').unlink()

    monkeypatch.setattr('mmgcvit.engine.train.train', train_and_remove)
    options = '--epochs 1 --image-size 64 --device cpu --size=mini'
    _, printed = call('train', '--data', 'photos', *options.split())
    assert 'the model is not judged: photos/val/4.jpg cannot be loaded' in printed
    assert Path('work_dirs/photos/epoch_1.pth').is_file()


@pytest.mark.parametrize(
    ('options', 'advice'),
    [
        ('--data photos --cfg-options work_dir=a', 'Use --work-dir'),
        ('--data photos --cfg-options resume=True', 'Use --resume'),
        ('config.py --work-dir b --cfg-options work_dir=a', 'Use --work-dir'),
        ('config.py --cfg-options launcher=pytorch', 'Use --launcher'),
    ],
)
def test_a_setting_that_an_option_replaces_is_refused(options, advice):
    with pytest.raises(UserError, match=f'would have no effect. {advice}$'):
        train.main(parse(options))


@pytest.mark.parametrize('work_dir', ['photos', 'link', 'photos/../photos/'])
def test_the_folder_of_the_data_is_no_work_dir(work_dir, empty_folder):
    """In class folders, the pictures of the run's validations would become a class."""
    Path('photos').mkdir()
    Path('link').symlink_to('photos')
    with pytest.raises(UserError, match=r'is the folder of the data.*Choose another one'):
        train.main(parse(f'--data photos --work-dir {work_dir}'))


@pytest.fixture
def steps(monkeypatch, empty_folder):
    """Replace the steps of a training on the folder photos by mocks. Return them by name."""
    Path('photos').mkdir()
    places = {
        'read_folders': 'mmgcvit.own.data.formats',
        'apply_options': 'mmgcvit.commands.configs',
        'check_machine': 'mmgcvit.engine.setup',
        'judge_run': 'mmgcvit.own.judging.run_score',
        'start_run': 'mmgcvit.commands.train',
        'run_training': 'mmgcvit.commands.train',
    }
    steps = {name: mock.Mock() for name in places}
    steps['judge_run'].return_value = 'good'
    for name, place in places.items():
        monkeypatch.setattr(f'{place}.{name}', steps[name])
    return SimpleNamespace(**steps)


@pytest.mark.parametrize(
    ('option', 'is_terminal', 'is_shown'),
    [
        ('', True, True),
        ('', False, False),
        ('--progress', False, True),
        ('--no-progress', True, False),
    ],
)
def test_progress_is_shown_in_a_terminal_or_as_asked(
    option, is_terminal, is_shown, steps, monkeypatch
):
    monkeypatch.setattr('sys.stdout.isatty', lambda: is_terminal)
    train.main(parse(f'--data photos {option}'))
    assert steps.run_training.call_args.args[3] == is_shown


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ('', (None, False, None)),
        ('--task semantic --pseudo-labels', ('semantic', True, None)),
        ('--data others --similar-classes keep', (None, False, 'keep')),
    ],
)
def test_a_folder_is_read_with_the_options_for_its_data(options, expected, steps):
    Path('others').mkdir()
    train.main(parse(f'--data photos {options}'))
    (call,) = steps.read_folders.call_args_list
    task = call.args[1]
    assert (task, call.kwargs['pseudo_labels'], call.kwargs['similar_classes']) == expected


@pytest.mark.parametrize('is_resumed', [False, True])
@pytest.mark.parametrize('workers', [None, 0, 3])
def test_a_resumed_run_takes_another_number_of_workers(workers, is_resumed):
    """Its config does not follow from its first lines any more. --cfg-options override it."""
    option = '' if workers is None else f'--workers {workers}'
    args = parse(f'--data photos {option} --cfg-options a=1')
    settings = train.list_cfg_options(args, train.read_data_options(args), is_resumed)
    loaders = ('train', 'val', 'test') if is_resumed and workers is not None else ()
    assert settings == [*(f'{name}_dataloader.num_workers={workers}' for name in loaders), 'a=1']


@pytest.mark.parametrize(
    ('started_with', 'expected', 'said'),
    [
        ({}, (False, {}), ''),
        ({'start': None, 'uncorrected_images': 0, 'weights_limit': None}, (False, {}), ''),
        (
            {'start': 'run', 'uncorrected_images': 2, 'weights_limit': 'not for commercial use'},
            (True, {'weights_limit': 'not for commercial use'}),
            '2 training images with labels that a model made and nobody has corrected',
        ),
    ],
)
def test_what_a_config_notes_about_its_start_is_passed_on_and_said(
    started_with, expected, said, monkeypatch, capsys
):
    monkeypatch.setattr('mmgcvit.engine.train.train', trained := mock.Mock())
    cfg = Config({'started_with': started_with, 'work_dir': 'run'})
    train.run_training(cfg, cfg, parse('config.py'), progress=False)
    passed = trained.call_args.kwargs
    assert (passed['same_model'], passed['meta']) == expected
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        (
            {'default_scope': 'mmdet', 'model': {}, 'val_cfg': {}},
            """\
next:
  mmgcvit predict 'my run' YOUR_PICTURES
  mmgcvit mistakes 'my run'
  mmgcvit plot 'my run'
  mmgcvit publish 'my run'
  mmgcvit export 'my run' model.onnx
""",
        ),
        ({'default_scope': 'mmpose', 'val_cfg': {}}, "next:\n  mmgcvit test 'my run'\n"),
        ({'default_scope': 'mmpose'}, ''),
    ],
)
def test_the_end_says_what_comes_next(settings, expected, monkeypatch, capsys):
    monkeypatch.setattr('mmgcvit.engine.train.train', mock.Mock())
    cfg = Config({'work_dir': 'my run', **settings})
    train.run_training(cfg, cfg, parse('config.py'), progress=False)
    assert capsys.readouterr().out == expected
