"""Small models with random weights beside the tests' digits, whose truths are counted from the files themselves."""

import shutil

import pytest

from mmgcvit.inference.loading import read_config
from mmgcvit.visualization.mistakes import truths_of

from ...inference.conftest import TASKS, make_work_dir, model, models, task, work_dir  # noqa: F401  (fixtures)

PER_CLASS = 2


@pytest.fixture(scope='session')
def data(digits, tmp_path_factory):
    """The digits once more; for classification two images of each class."""
    folder = tmp_path_factory.mktemp('mistakes') / 'digits'
    for part in ('coco', 'ADEChallengeData2016'):
        shutil.copytree(digits / part, folder / part)
    for of_class in sorted((digits / 'imagenet' / 'val').iterdir()):
        (folder / 'classes' / of_class.name).mkdir(parents=True)
        for image in sorted(of_class.iterdir())[:PER_CLASS]:
            shutil.copy(image, folder / 'classes' / of_class.name)
    return folder


@pytest.fixture(scope='session')
def work_dirs(data, tmp_path_factory):
    """One of each task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DIGITS', str(data))
        return {task: make_work_dir(tmp_path_factory.mktemp('runs') / task, task) for task in TASKS}


@pytest.fixture
def truths(work_dir, model, task):  # noqa: F811  (the fixtures)
    return truths_of(read_config(work_dir / f'{TASKS[task]}.py'), 'val_dataloader', model)
