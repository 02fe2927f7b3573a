"""A table trained, killed and resumed, as users do it."""

import json
import re

import cv2
import pytest
import yaml

from .. import fork_server
from ..programs import wait_for
from .commands import CONFIGS, call, environment_for

pytestmark = pytest.mark.long

EPOCHS = 6


@pytest.fixture
def tables(tmp_path):
    """A program that trains a table of two rows: the tools' small classifier, and one with wider MLPs."""
    folder = tmp_path / 'ablations'
    folder.mkdir()
    (tmp_path / 'wide.py').write_text(
        f'_base_ = {str(CONFIGS / "classify.py")!r}\nmodel = dict(backbone=dict(arch=dict(mlp_ratio=3)))\n'
    )
    rows = {'plain': {'name': 'plain', 'published': [50]}, 'wide': {'name': 'wide MLPs', 'config': 'wide.py'}}
    table = {'title': 'Small', 'metrics': ['top-1'], 'unchanged': str(CONFIGS / 'classify.py'), 'rows': rows}
    (folder / 'tables.yml').write_text(yaml.safe_dump({'small': table}, sort_keys=False))
    program = tmp_path / 'program.py'
    program.write_text(
        f'from mmgcvit.commands import ablate, main\nablate.TABLES = {str(folder / "tables.yml")!r}\n'
        "main.run_command('ablate')\n"
    )
    return program


def score_of(folder):
    return json.loads((folder / 'finished.json').read_text())['scores']['top-1']


def test_a_table_that_is_killed_goes_on_and_loses_nothing_that_was_finished(tables, digits, tmp_path):
    """Two rows; killed within the second training, which goes on from its checkpoint."""
    work_dir = tmp_path / 'work'
    options = ['small', '--data', CONFIGS / 'classify.py', '--seeds', 1, '--work-dir', work_dir]
    options += ['--cfg-options', f'train_cfg.max_epochs={EPOCHS}', f'train_cfg.val_interval={EPOCHS}']
    output = tmp_path / 'output'
    process = fork_server.start(tables, *options, environment=environment_for(digits), output=output, errors=output)
    try:
        checkpoint = work_dir / 'seed_0' / 'wide' / 'epoch_1.pth'
        wait_for(lambda: checkpoint.exists() or process.exitcode is not None, seconds=300)
    finally:
        fork_server.end(process)
    first = work_dir / 'seed_0' / 'plain' / 'finished.json'
    noted = first.stat().st_mtime_ns
    assert '| wide MLPs | 0 |' in (work_dir / 'table.md').read_text()

    shown = call(digits, tables, *options, '--resume')

    assert re.findall(r'^(\d of 2)  seed 0, ([\w ]+)', shown, re.MULTILINE) == [('2 of 2', 'wide MLPs')]
    assert first.stat().st_mtime_ns == noted
    logs = [path.read_text() for path in sorted((work_dir / 'seed_0' / 'wide').glob('console_*.log'))]
    assert re.search(r'resumed epoch: [1-9]', logs[-1])
    text = (work_dir / 'table.md').read_text()
    for key, name, published in (('plain', 'plain', '50'), ('wide', 'wide MLPs', '')):
        score = score_of(work_dir / 'seed_0' / key)
        assert re.search(rf'^\| {name} \| 1 \| {score:.2f} \| {published} \|$', text, re.MULTILINE)
    assert cv2.imread(str(work_dir / 'table.png')) is not None
