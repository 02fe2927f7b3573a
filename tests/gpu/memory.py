"""Peak memory and seconds of training steps with real heads, two images, for each config of COCO and ADE20K."""

import gc
import statistics
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import torch

from mmgcvit.engine.training import enable_amp
from mmgcvit.errors import first_line
from mmgcvit.experiments.measuring import status
from mmgcvit.experiments.speed import Training
from mmgcvit.hosts.configs import read_config

from ..programs import ROOT
from .machine import say
from .run import seconds_left

IMAGES, STEPS = 2, 3
# Of a photo, before the config's own pipeline.
PHOTO = {'cuda': (800, 1333), 'cpu': (64, 64)}
# What a config may take that no other has yet.
SECONDS_OF_ONE = 10
# From the question asked most to the largest; DINO's operators are stand-ins.
KINDS = ('mask_rcnn', 'cascade', 'upernet', 'faster_rcnn', 'dino')
REHEARSED = ('demo/upernet_gcvit_digits',)


def main(device):
    found = (path.stem for kind in KINDS for path in (ROOT / 'configs').glob(f'{kind}*.py'))
    configs = sorted((name for name in found if 'fsdp' not in name), key=order)
    say('config', 'precision', 'image, px', 'peak, GiB', 'first step, s', 'a step, s')
    say(*['---'] * 6)
    left_out, failed = [], []
    for name in configs if device == 'cuda' else REHEARSED:
        if seconds_left() < SECONDS_OF_ONE:
            left_out.append(name)
            continue
        amp = device == 'cuda'
        try:
            row = measure(*training_step(name, device, amp), device)
        except Exception as error:
            row = [f'**{type(error).__name__}: {first_line(error)}**'.replace('|', '\\|'), '', '', '']
            if not isinstance(error, torch.cuda.OutOfMemoryError):
                failed.append(name)
        say(name, 'mixed' if amp else 'float32', *row)
        gc.collect()
        torch.cuda.empty_cache()
    if left_out:
        sys.stdout.write(f'\nNo time was left for {", ".join(left_out)}.\n')
    if failed:
        raise SystemExit(f'failed: {", ".join(failed)}')


def order(name):
    """The smallest of each kind first, for the time that there is."""
    kind = next(place for place, kind in enumerate(KINDS) if name.startswith(kind))
    return next(place for place, size in enumerate('tsbl') if f'_{size}_' in f'{name}_'), kind, name


def training_step(name, device, amp):
    """A step of a config, in mixed precision or as the config says, and the shape of one of its images."""
    cfg = read_config(str(ROOT / 'configs' / f'{name}.py'))
    if amp:
        enable_amp(cfg)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):  # where mmengine logs
        config = Path(folder, 'config.py')
        cfg.dump(config)
        _, step, shape = Training(str(config), device, PHOTO[device]).build(IMAGES)
    return step, shape


def measure(step, shape, device):
    """What a row says: weights, their gradients and the optimizer's states are part of the peak."""
    on_gpu = device == 'cuda'
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(1 + STEPS):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() if on_gpu else status('VmHWM')
    return (
        f'{shape[1]} x {shape[2]}',
        f'{peak / 2**30:.1f}',
        f'{seconds[0]:.2f}',
        f'{statistics.median(seconds[1:]):.3f}',
    )


if __name__ == '__main__':
    main(*sys.argv[1:])
