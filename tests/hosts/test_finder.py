"""The start-up of an installation: the stand-ins are found for an mmcv, and where else something is called as they are,
nothing is.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmgcvit.hosts import finder

# What the line of the .pth does, and then a program.
START = f'import {finder.__name__.split(".")[-1]} as start; start.serve_stand_ins("mmgcvit/hosts"); '
FINDERS = '[type(each).__name__ for each in sys.meta_path].count("StandInFinder")'
USE = 'import mmcv.ops; print(mmcv.ops._ext.__file__)'
LOOK = 'from importlib.util import find_spec; print(find_spec("mmcv._ext") is not None)'


def write(path, text=''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def site(tmp_path):
    """A folder of installed packages: this one with its start-up, and an mmcv without compiled operators."""
    site = tmp_path / 'site'
    write(site / 'mmgcvit' / '__init__.py')
    write(site / 'mmgcvit' / 'hosts' / 'stand_ins.py')
    write(site / 'mmgcvit' / 'hosts' / 'panoptic.py', 'rgb2id = PQStat = None')
    write(site / 'mmdet' / '__init__.py', 'from panopticapi import utils; from panopticapi.evaluation import PQStat')
    write(site / 'mmcv' / '__init__.py')
    write(site / 'mmcv' / 'ops' / '__init__.py', 'from .. import _ext')
    shutil.copy(finder.__file__, site)
    (tmp_path / 'work').mkdir()
    return site


def told(site, program, **environment):
    """What a program prints that is started in the working folder, which Python looks into first."""
    command = [sys.executable, '-S', '-c', START + program]
    environment['PYTHONPATH'] = f'{site.parent / "work"}:{site}'
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=site.parent / 'work')
    return (ended.stdout + ended.stderr).splitlines()[-1]


@pytest.mark.parametrize('beside', [None, 'mmgcvit.py', 'mmgcvit/notes.txt', 'mmgcvit/__init__.py'])
def test_the_installations_own_are_found_whatever_else_is_called_mmgcvit(beside, site):
    """A script, a folder, another package in the working folder."""
    if beside is not None:
        write(site.parent / 'work' / beside)
    assert told(site, USE) == str(site / 'mmgcvit' / 'hosts' / 'stand_ins.py')


def test_who_only_asks_whether_there_are_any_hears_no_until_something_has_imported_mmcv_ops(site):
    """As mmengine's ``mmcv_full_available`` does."""
    assert [told(site, program) for program in (LOOK, f'import mmcv.ops; {LOOK}')] == ['False', 'True']


def test_panopticapi_is_found_by_mmdet_and_a_real_one_first(site):
    assert told(site, 'import mmdet; print(mmdet.utils.__file__)') == str(site / 'mmgcvit' / 'hosts' / 'panoptic.py')
    assert told(site, 'import panopticapi') == "ModuleNotFoundError: No module named 'panopticapi'"
    for module in ('__init__', 'utils'):
        write(site / 'panopticapi' / f'{module}.py')
    write(site / 'panopticapi' / 'evaluation.py', 'PQStat = None')
    assert told(site, 'import mmdet; print(mmdet.utils.__file__)') == str(site / 'panopticapi' / 'utils.py')


def test_the_environment_can_turn_them_off(site):
    assert told(site, USE, MMGCVIT_STAND_INS='0').startswith("ImportError: cannot import name '_ext' from 'mmcv'")
    assert told(site, f'import sys; print({FINDERS})', MMGCVIT_STAND_INS='0') == '0'


def test_compiled_ones_come_first(site):
    write(site / 'mmcv' / '_ext.py')
    assert told(site, USE) == str(site / 'mmcv' / '_ext.py')


def test_of_a_package_that_is_gone_nothing_is_named(site):
    shutil.rmtree(site / 'mmgcvit')
    assert told(site, USE).startswith("ImportError: cannot import name '_ext' from 'mmcv'")


def test_the_package_that_is_imported_serves_its_own_once(site):
    """As a clone in front of an installation."""
    package = Path(finder.__file__).parent
    other = (
        f'sys.path.insert(0, {str(package)!r}); del sys.modules["finder"]; import finder; finder.serve_stand_ins(); '
    )
    write(site / 'mmcv' / 'ops' / '__init__.py')
    found = told(site, f'import sys, mmcv.ops; {other}{LOOK}; print(find_spec("mmcv._ext").origin, {FINDERS})')
    assert found == f'{package / "stand_ins.py"} 1'
