"""A broken OpenMMLab package stops what needs it, with one sentence, and nothing else."""

import os
import sys

import pytest

from ..programs import ROOT, run

# By the content of a module of mmseg: how the error begins, at the first and each later import.
ERRORS = {
    "raise TypeError('first\\nsecond')": 'mmseg cannot be imported (TypeError: first). ',
    'import no_such': 'mmseg cannot be imported (ModuleNotFoundError: No module named ',
    'x =': 'mmseg cannot be imported (SyntaxError: invalid syntax (heads.py, line 1)). ',
    "raise ImportError('undefined symbol', name='_ext')": (
        "mmcv's operators do not load (undefined symbol). They were compiled for another version"
    ),
}
# mmdet does without mmseg if it is missing, as mmdet and mmseg do without the other packages.
MMDET = """
print('Could not import OneDL')  # which is discarded
try:
    import mmseg.models
except ModuleNotFoundError:
    import os
    os.write(1, b'without mmseg\\n')
"""
IMPORTS = """
import mmgcvit.ops.packages
for name in sys.argv[1:]:
    try:
        mmgcvit.ops.packages.import_task_package(name)
        print(name, 'works')
    except ImportError as error:
        print(f'{type(error).__name__}: {error}')
"""


@pytest.mark.parametrize('content', ERRORS)
def test_a_broken_package_counts_as_missing_and_raises_the_same_error_again(content, tmp_path):
    """Executed again, it would register its classes twice."""
    files = {
        'mmseg/__init__': '',
        'mmseg/models/__init__': "import os\nos.write(1, b'executed\\n')\nfrom . import heads",
        'mmseg/models/heads': content,
        'mmdet/__init__': '',
        'mmdet/models': MMDET,
        'mmdet/datasets': '',
    }
    for name, text in files.items():
        path = tmp_path / f'{name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    program = f'import sys\nsys.modules["mmpretrain"] = None{IMPORTS}'
    packages = ('mmdet', 'mmseg', 'mmseg', 'mmpretrain')
    environment = os.environ | {'PYTHONPATH': f'{tmp_path}:{ROOT}'}
    ended = run([sys.executable, '-uW', 'ignore', '-c', program, *packages], environment)
    *neighbour, first, second, missing = ended.stdout.splitlines()
    assert neighbour[:3] == ['executed', 'without mmseg', 'mmdet works'], ended.stderr
    if content != 'import no_such':  # which mmdet itself takes for a missing mmseg
        assert neighbour[3:] == []
    assert first == second
    assert first.startswith(f'MissingPackageError: {ERRORS[content]}')
    assert 'the config needs mmpretrain, which is not installed.' in missing
