"""A missing or broken OpenMMLab package stops only its tasks; mmpose and mmrotate build the configs
of other tasks.

Modules: `mmgcvit/ops/packages.py`.
"""

import os
import sys
import sysconfig
from importlib.util import find_spec
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
for name in ('ImageNetV2', 'PairedSegDataset'):
    print(name, DATASETS.get(f'mmgcvit.{name}') is not None)
"""
# The dataset of each package that is registered with it.
DATASETS = {'mmpretrain': 'ImageNetV2', 'mmseg': 'PairedSegDataset'}
# By environment: the task that runs, the replacement of each other package (None if it is missing),
# and a part of the message for each task that cannot run.
ENVIRONMENTS = {
    'transformers5': (
        'detect',
        {},
        {'classify': 'mmpretrain cannot be imported with this version of transformers. '},
    ),
    'mmdet_alone': (
        'detect',
        {'mmseg': None, 'mmpretrain': None},
        {
            'segment': 'the config needs mmseg, which is not installed.',
            'classify': 'the config needs mmpretrain, which',
        },
    ),
    'half_of_mmdet': (
        'segment',
        {'mmdet': 'from .version import __version__', 'mmpretrain': 'raise TypeError'},
        {
            'detect': 'mmdet cannot be imported (ModuleNotFoundError: ',
            'classify': 'mmpretrain cannot be imported',
        },
    ),
}


@pytest.mark.long
@pytest.mark.parametrize('name', ENVIRONMENTS)
def test_broken_package_stops_only_the_tasks_that_need_it(name, digits, tmp_path):
    task, packages, messages = ENVIRONMENTS[name]
    if name == 'transformers5' and find_spec('transformers') is None:
        pytest.skip('make test-beside installs it beside the environment')
    site = tmp_path / 'site'
    site.mkdir()
    for path in Path(sysconfig.get_paths()['purelib']).iterdir():
        if not any(package in path.name for package in packages):
            (site / path.name).symlink_to(path)
    for package, content in packages.items():
        if content is not None:
            (site / package).mkdir()
            (site / package / '__init__.py').write_text(content)
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', ''), str(site)])
    # Without -S, Python would add the environment's own site-packages.
    work_dir = tmp_path / 'work'
    images = digits / 'coco' / 'val2017'
    command = [sys.executable, '-S', '-c', PROGRAM, CONFIGS, images, work_dir, task, *messages]
    ended = run(command, environment_for(digits, PYTHONPATH=path))
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert (work_dir / 'predictions' / 'predictions.json').is_file()
    lines = ended.stdout.splitlines()
    # transformers 5 breaks mmpretrain's models, without which the package is blocked.
    unusable = {*packages, 'mmpretrain'} if name == 'transformers5' else set(packages)
    for package, dataset in DATASETS.items():
        assert f'{dataset} {package not in unusable}' in lines
    refusals = [line for line in lines if line.startswith('refused:')]
    for refusal, message in zip(refusals, messages.values(), strict=True):
        assert message in refusal


@pytest.mark.parametrize(
    ('package', 'name'),
    [('mmpose', 'other_tasks/keypoints_gcvit_t'), ('mmrotate', 'other_tasks/rotated_fcos_gcvit_t')],
)
def test_parameters_and_flops_equal_the_metafiles_and_parameter_groups_the_recipes(package, name):
    """The configs of docs/other_tasks.md. Run by make test-beside."""
    pytest.importorskip(package, reason='beside the environment: make test-beside')
    # Imported here, because mmdet cannot be imported by itself beside transformers 5.
    from tools.get_flops import count_by_part, count_parameters

    from ..configs.models import ENTRIES, get_image_size, get_model, has_decay_of_recipe, read

    model = get_model(name)
    metadata = ENTRIES[name]['Metadata']
    assert count_parameters(model) == metadata['Parameters']
    parts = count_by_part(model, get_image_size(name))
    assert sum(part.macs for part in parts) == metadata['FLOPs']
    assert package == 'mmpose' or has_decay_of_recipe(read(name), model)
