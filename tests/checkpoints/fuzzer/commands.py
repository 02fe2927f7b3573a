"""The ways in which a checkpoint reaches the project, each called as its users do."""

import contextlib
import io
import shutil
import sys
from itertools import count
from pathlib import Path

from mmengine.runner import load_checkpoint
from PIL import Image

from mmgcvit.checkpoints import read_checkpoint
from mmgcvit.commands.main import run_command

from . import toy

NUMBERS = count()
CONFIG = str(Path(__file__).parent / 'config.py')
# The same network as a classifier of a host's, with the same names of weights.
CLASSIFIER = str(Path(__file__).parent / 'classifier.py')


def command(name, *arguments):
    """Call a command of the project in this process; its output is dropped."""
    before, sys.argv = sys.argv, [name, *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_command(name)
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.argv = before


def train(sandbox, *options, resume=()):
    shutil.rmtree(sandbox.work_dir, ignore_errors=True)
    run('train', CONFIG, *resume, '--work-dir', sandbox.work_dir, options=options)


def run(name, *arguments, options=()):
    # What mmengine keeps of a run goes by its name, for which it takes the second.
    options = [*options, f'experiment_name=run{next(NUMBERS)}']
    command(name, *arguments, '--device', 'cpu', '--cfg-options', *options)


def read(file, sandbox):
    return read_checkpoint(str(file))


def init_cfg(file, sandbox):
    toy.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': str(file)}).init_weights()


def convert(file, sandbox):
    for layout, target in (('original', 'there.safetensors'), ('mmpretrain', 'here.pth')):
        for path in sandbox.folder.glob(f'{target}*'):
            path.unlink()
        command('convert', file, sandbox.folder / target, '--to', layout)


def load_from(file, sandbox):
    train(sandbox, 'train_cfg.max_epochs=1', f'load_from={file}')


def resume(file, sandbox):
    train(sandbox, resume=('--resume', file))


def test(file, sandbox):
    run('test', CONFIG, file, '--work-dir', sandbox.work_dir)


def predict(file, sandbox):
    picture = sandbox.folder / 'picture.png'
    if not picture.exists():
        Image.new('RGB', (32, 32)).save(picture)
    folder = sandbox.folder / 'predictions'
    command('predict', CLASSIFIER, file, picture, '--out-dir', folder, '--overwrite', '--device', 'cpu')


def host(file, sandbox):
    """A host's own script, which knows nothing of this project but its import; what it says is its affair."""
    model = toy.ToyClassifier(
        {'type': 'mmgcvit.GCViT', 'arch': toy.ARCH, 'window_size': toy.WINDOWS, 'out_indices': (3,)}
    )
    with contextlib.redirect_stdout(io.StringIO()):
        load_checkpoint(model, str(file), map_location='cpu')


def inferencer(file, sandbox):
    """A host's inferencer, with a config, and by the file alone, which would execute a config that it finds there."""
    with contextlib.redirect_stdout(io.StringIO()):
        toy.ToyInferencer(CONFIG, str(file), device='cpu', scope='mmengine')
        with contextlib.suppress(ValueError):
            toy.ToyInferencer(None, str(file), device='cpu', scope='mmengine')


LIGHT = (init_cfg, convert, host, inferencer)
HEAVY = (load_from, resume, test, predict)
# Ways whose other errors are the hosts' affair, as long as nothing was done.
OF_HOSTS = (host, inferencer)
