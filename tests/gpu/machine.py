"""What the machine is, what it reaches, and what of the packages is there."""

import os
import platform
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from importlib import import_module

import torch

# By the name of a distribution what imports; of the hosts either distribution.
PACKAGES = ('torchvision', 'triton', 'numpy', 'cv2', 'scipy', 'matplotlib', 'sklearn', 'pycocotools', 'timm')
HOSTS = ('mmengine', 'mmcv', 'mmcv.ops', 'mmdet.apis', 'mmseg.apis', 'mmpretrain.apis')
PRODUCT_SIDE = {'cuda': 8192, 'cpu': 1024}


def main(device):
    say('what', 'found')
    say('---', '---')
    if device == 'cuda':
        properties = torch.cuda.get_device_properties(0)
        say('GPU', f'{torch.cuda.device_count()} x {properties.name}, {properties.total_memory / 2**30:.1f} GiB')
        kind = f'{properties.major}.{properties.minor}, {properties.multi_processor_count} multiprocessors'
        say('compute capability', kind)
        asked = [
            'nvidia-smi',
            '--query-gpu=driver_version,clocks.sm,clocks.max.sm,power.limit',
            '--format=csv,noheader',
        ]
        with suppress(OSError):
            say(
                'driver, clock, highest clock, power',
                subprocess.run(asked, capture_output=True, text=True).stdout.strip(),
            )
    say('torch', f'{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}')
    say('Python', f'{sys.version.split()[0]}, {platform.platform()}')
    free = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30
    say('processors, free memory', f'{len(os.sched_getaffinity(0))}, {free:.0f} GiB')
    missing = []
    # mmgcvit first: it has mmcv's operators found.
    for name in ('mmgcvit', *PACKAGES, *HOSTS):
        try:
            with redirect_stdout(sys.stderr):  # some greet
                module = import_module(name)
        except Exception as error:  # whatever a package that fits torch badly ends with
            missing.append(name)
            say(name, f'**{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ""}**')
        else:
            if '.' not in name:
                say(name, getattr(module, '__version__', 'imports'))
    if 'mmgcvit' not in missing and 'mmcv' not in missing:
        from mmgcvit.experiments.benchmark import processor_name
        from mmgcvit.experiments.benchmark_layers import fastest, machine_limits
        from mmgcvit.ops.compiled import are_compiled

        say('processor', processor_name())
        say("mmcv's operators", 'compiled' if are_compiled() else "torchvision's in their place")
        limits = machine_limits(device)
        side = PRODUCT_SIDE[device]
        a, b = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
        reached = 2 * side**3 / fastest(lambda: a @ b, device)
        say(
            'float32 products (TF32 as torch has it), copies',
            f'{limits.flops / 1e12:.3g} TFLOP/s, {limits.bytes / 1e9:.0f} GB/s',
        )
        say('bfloat16 products', f'{reached / 1e12:.3g} TFLOP/s')
    if missing:
        raise SystemExit(f'does not import: {", ".join(missing)}')


def say(*cells):
    """Print a row of a table, at once."""
    sys.__stdout__.write(f'| {" | ".join(map(str, cells))} |\n')
    sys.__stdout__.flush()


if __name__ == '__main__':
    main(*sys.argv[1:])
