"""An OpenMMLab package that is missing or cannot be imported stops only the tasks that need it."""

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from ..programs import ROOT, run
from ..tools.commands import CONFIGS, environment_for

# Train, test and predict for one task, then start a training for each other task.
PROGRAM = """
import sys
from mmengine.registry import DATASETS
from mmgcvit.commands.main import run_command

configs, images, work_dir, task, *refused = sys.argv[1:]
run_command('train', [f'{configs}/{task}.py', '--work-dir', work_dir])
run_command('test', [work_dir])
run_command('predict', [work_dir, images, '--out-dir', f'{work_dir}/predictions'])
for other in refused:
    try:
        run_command('train', [f'{configs}/{other}.py', '--work-dir', f'{work_dir}/{other}'])
    except SystemExit as ended:
        print('refused:', ended.code)
print('datasets:', *(name for name in ('ImageNetV2', 'PairedSegDataset') if DATASETS.get(f'mmgcvit.{name}')))
"""
MISSING = "the config needs {}, which is not installed. Run: pip install 'mmgcvit[openmmlab]'"
# By environment: the task that runs, each package's replacement (None if it is missing), the message for each task that
# needs such a package, and the datasets that this package can register.
ENVIRONMENTS = {
    'transformers5': (
        'detect',
        {},
        {'classify': 'mmpretrain cannot be imported beside this version of transformers. Run: pip install'},
        'ImageNetV2 PairedSegDataset',
    ),
    'mmdet_alone': (
        'detect',
        {'mmseg': None, 'mmpretrain': None},
        {'segment': MISSING.format('mmseg'), 'classify': MISSING.format('mmpretrain')},
        '',
    ),
    'half_of_mmdet': (
        'segment',
        {'mmdet': 'from .version import __version__', 'mmpretrain': "raise TypeError('no such class')"},
        {
            'detect': "mmdet cannot be imported (ModuleNotFoundError: No module named 'mmdet.version')",
            'classify': 'mmpretrain cannot be imported (TypeError: no such class)',
        },
        'PairedSegDataset',
    ),
}


@pytest.mark.long
@pytest.mark.parametrize('name', ENVIRONMENTS)
def test_broken_package_stops_only_the_tasks_that_need_it(name, digits, tmp_path):
    task, packages, messages, datasets = ENVIRONMENTS[name]
    if name == 'transformers5':
        pytest.importorskip('transformers', minversion='5', reason='beside the environment: make test-beside')
    site = tmp_path / 'site'
    site.mkdir()
    for path in Path(sysconfig.get_paths()['purelib']).iterdir():
        if not any(package in path.name for package in packages):
            (site / path.name).symlink_to(path)
    for package, content in packages.items():
        if content is not None:
            (site / package).mkdir()
            (site / package / '__init__.py').write_text(content)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH'), str(site)]))
    # Without -S, Python would add the environment's own site-packages.
    command = [
        sys.executable,
        '-S',
        '-c',
        PROGRAM,
        CONFIGS,
        digits / 'coco' / 'val2017',
        tmp_path / 'work',
        task,
        *messages,
    ]
    ended = run(command, environment_for(digits, PYTHONPATH=path))
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert (tmp_path / 'work' / 'predictions' / 'predictions.json').is_file()
    *lines, last = ended.stdout.splitlines()
    assert last.split() == ['datasets:', *datasets.split()]
    refusals = [line for line in lines if line.startswith('refused:')]
    for refusal, message in zip(refusals, messages.values(), strict=True):
        assert message in refusal
