"""The console command: ``mmgcvit train CONFIG``, ``mmgcvit test CONFIG CHECKPOINT``, ..."""

import sys
from importlib import import_module
from pathlib import Path

# What one types, the module of this folder that does it, and what it is for.
COMMANDS = {
    'demo': ('demo', 'see it work: train and score a small detector or segmentor, in minutes'),
    'train': ('train', 'train a model of any task'),
    'test': ('test', 'score a model of any task'),
    'check-data': ('check_data', 'look at all data that a config names'),
    'launch': ('launch', 'train or test on several GPUs, of one or more nodes'),
    'dry-run': ('dry_run', 'rehearse a run in minutes before it takes days'),
    'convert': ('convert_checkpoint', 'convert a checkpoint between layouts'),
    'flops': ('get_flops', "count a model's parameters and multiply-adds"),
    'digits': ('make_digits', "make the demo's data set"),
    'miniature': ('make_miniature', 'make miniatures of COCO, ADE20K and ImageNet-1K'),
}
# In a checkout only: it stands beside the plain formulations of the tests.
BENCHMARK = 'time and memory of backbones, side by side (in a clone of the repository)'


def usage() -> str:
    """What can be typed."""
    rows = [*((name, what) for name, (_, what) in COMMANDS.items()), ('benchmark', BENCHMARK)]
    lines = '\n'.join(f'    mmgcvit {name:<12}{what}' for name, what in rows)
    return f'Commands, each with --help:\n{lines}'


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print(usage())
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
