"""The console command: ``mmgcvit train CONFIG``, ``mmgcvit test CONFIG CHECKPOINT``, ..."""

import re
import sys
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path
from platform import platform, python_version

from ..version import __version__

# What one types, the module of this folder that does it, and what it is for.
COMMANDS = {
    'demo': ('demo', 'see it work: train and score a small detector or segmentor, in minutes'),
    'train': ('train', 'train a model of any task'),
    'test': ('test', 'score a model of any task'),
    'predict': ('predict', 'use a trained model on your own pictures'),
    'web': ('web', 'try a model on a page in the browser'),
    'check-data': ('check_data', 'look at all data that a config names'),
    'browse': ('browse', 'samples of a data set, with their augmentations'),
    'plot': ('plot', 'curves of trainings, one or several'),
    'mistakes': ('mistakes', 'confusion matrix and worst images of a trained model'),
    'visualize': ('visualize', 'pictures of attention, global queries, Grad-CAM and shifts'),
    'launch': ('launch', 'train or test on several GPUs, of one or more nodes'),
    'dry-run': ('dry_run', 'rehearse a run in minutes before it takes days'),
    'publish': ('publish', "a trained model's weights, to give to others"),
    'export': ('export', 'write a trained model as a file of ONNX, for other machines'),
    'convert': ('convert_checkpoint', 'convert a checkpoint between layouts'),
    'flops': ('get_flops', "count a model's parameters and multiply-adds"),
    'speed': ('speed', "a whole model's images per second and memory"),
    'ablate': ('ablate', "train a paper's ablation with several seeds, and write its table"),
    'digits': ('make_digits', "make the demo's data set"),
    'miniature': ('make_miniature', 'make miniatures of COCO, ADE20K and ImageNet-1K'),
}
# What a report of a fault needs: its name, and the distributions that it may come in.
STANDS_ON = [
    ('torch', 'torch'),
    ('torchvision', 'torchvision'),
    ('mmengine', 'onedl-mmengine', 'mmengine'),
    ('mmcv', 'onedl-mmcv', 'mmcv', 'mmcv-lite'),
    ('mmdet', 'onedl-mmdetection', 'mmdet'),
    ('mmseg', 'onedl-mmsegmentation', 'mmsegmentation'),
    ('mmpretrain', 'onedl-mmpretrain', 'mmpretrain'),
]
# In a checkout only: it stands beside the plain formulations of the tests.
BENCHMARK = 'time and memory of backbones, side by side (in a clone of the repository)'


def usage() -> str:
    """What can be typed."""
    rows = [*((name, what) for name, (_, what) in COMMANDS.items()), ('benchmark', BENCHMARK)]
    lines = '\n'.join(f'    mmgcvit {name:<12}{what}' for name, what in rows)
    return f'Commands, each with --help:\n{lines}\n--version says which versions of what are installed.'


def versions() -> str:
    """What a report of a fault should name: this package and what it stands on, a line each."""
    installed = {re.sub(r'[-_.]+', '-', dist.name).lower(): dist.version for dist in distributions()}
    rows = [('mmgcvit', __version__)]
    for name, *names in STANDS_ON:
        rows.append((name, next((installed[each] for each in names if each in installed), 'none')))
    rows += [('Python', python_version()), ('system', platform())]
    return '\n'.join(f'{name:<12}{version}' for name, version in rows)


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print(usage())
        return
    if name == '--version':
        print(versions())
        return
    if name not in (*COMMANDS, 'benchmark'):
        raise SystemExit(f'mmgcvit has no command {name!r}. {usage()}')
    sys.argv = [f'mmgcvit {name}', *sys.argv[2:]]
    if name == 'benchmark':
        benchmark()
    else:
        import_module(f'.{COMMANDS[name][0]}', __package__).main()


def benchmark() -> None:
    """Call the benchmark of the checkout that this package is imported from.

    Raises:
        SystemExit: It is imported from elsewhere.
    """
    tools = Path(__file__).resolve().parents[2] / 'tools'
    if not (tools / 'benchmark.py').is_file():
        raise SystemExit(
            'mmgcvit benchmark: the benchmark is not part of the installed package; clone the repository and call '
            "'python tools/benchmark.py'"
        )
    sys.path.insert(0, str(tools))
    import_module('benchmark').main()


if __name__ == '__main__':
    main()
