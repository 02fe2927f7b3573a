"""A GPU of the machine is used or refused, never lost: where torch cannot use it, it takes the CPU without a word."""

import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from ..errors import UserError

HIDING_VARIABLE = 'CUDA_VISIBLE_DEVICES'
# By which a scheduler says that GPUs are set aside for the job, and what they say where there are none.
NAMING_VARIABLES = {
    'SLURM_JOB_GPUS': ('',),
    'SLURM_STEP_GPUS': ('',),
    'SLURM_GPUS_ON_NODE': ('', '0'),
    HIDING_VARIABLE: ('',),
}
DEVICES = Path('/dev')
LIST_GPUS = ('nvidia-smi', '--list-gpus')
SECONDS_TO_LIST = 20
# Parts of torch's reasons, and what helps.
ADVICE = {
    'not compiled with CUDA': 'Install a torch with CUDA',
    'driver on your system is too old': 'Update the driver, or take the installation that goes with it',
    'Found no NVIDIA driver': 'Install the driver (in a container: start it with --gpus all)',
    'No CUDA GPUs are available': f'Ask the scheduler for GPUs, or mend {HIDING_VARIABLE}',
}
OTHERWISE = 'Look at what nvidia-smi says'


def check_gpus() -> None:
    """Refuse to go on where the machine has a GPU that torch cannot use, unless the user asked for the CPU."""
    if torch.cuda.is_available() or are_hidden(os.environ):
        return
    signs = signs_of_gpus()
    if not signs:
        return
    reason = torchs_reason()
    advice = next((advice for part, advice in ADVICE.items() if part in reason), OTHERWISE)
    raise UserError(
        f'By {", ".join(signs)} there is a GPU on {socket.gethostname()}, but torch {torch.__version__} cannot use it: '
        f'"{reason}" {advice}: docs/installation.md, "When torch cannot use the GPU". To run on the CPU all the same: '
        f'{HIDING_VARIABLE}=-1 (or --device cpu, where a command has it)'
    )


def are_hidden(environment: Mapping[str, str]) -> bool:
    """Whether the user has hidden the GPUs, or slurm (``NoDevFiles``). CUDA reads up to the first name that is none."""
    first = environment.get(HIDING_VARIABLE, '0').split(',')[0].strip()
    return first in ('', 'NoDevFiles') or first.startswith('-')


def signs_of_gpus(
    environment: Mapping[str, str] = os.environ, devices: Path = DEVICES, list_gpus: Sequence[str] = LIST_GPUS
) -> list[str]:
    """What tells that the machine has a GPU, of NVIDIA's or one that a scheduler has given."""
    variables = [
        f'{name}={environment[name]}'
        for name, none in NAMING_VARIABLES.items()
        if name in environment and environment[name].strip() not in none
    ]
    signs = [str(file) for file in sorted(devices.glob('nvidia[0-9]*'))] + variables
    if signs:
        return signs
    try:
        run = subprocess.run(list_gpus, capture_output=True, text=True, timeout=SECONDS_TO_LIST)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line.split(' (UUID')[0] for line in run.stdout.splitlines() if line.startswith('GPU ')]
    return [f'nvidia-smi: {line}' for line in lines] if run.returncode == 0 else []


def torchs_reason() -> str:
    """Why torch cannot use a GPU, in its own words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.cuda.init()
    except Exception as error:  # Whatever torch or the driver fail with is the reason.
        return ' '.join(str(error).split()) or type(error).__name__
    return 'torch gives no reason'


def chosen_device(name: str | None = None) -> torch.device:
    """``'cpu'``, ``'cuda'``, or ``'cuda:N'``; None or ``'auto'`` is a GPU where there is one, else the CPU."""
    if name in (None, 'auto'):
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ('cpu', 'cuda') or (device.type == 'cpu' and device.index is not None):
        raise UserError(f'device {name!r}: expected auto, cpu, cuda or cuda:N')
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise UserError(f'device {name}: torch {torch.__version__} sees no GPU here; take auto or cpu')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f'device {name}: torch sees {torch.cuda.device_count()} GPUs here, numbered from 0')
    return device


def use_cpu(command: str | None) -> None:
    """Hide the GPUs from this process and those that it starts, for ``--device cpu``."""
    if not are_hidden(os.environ):
        show_gpus('-1', torch.cuda.is_available, command)


def use_gpus(command: str | None, device: str, processes: str = 'none') -> None:
    """Refuse GPUs that are asked for and not there; for ``--device cuda:N`` hide the others.

    ``processes`` is who has started several of them; each takes a GPU of its own.
    """
    number = chosen_device(device).index
    if number is None:
        return
    if processes != 'none':
        raise UserError(f'--device {device}: each of several processes takes another GPU; choose by {HIDING_VARIABLE}')
    names = os.environ.get(HIDING_VARIABLE) or ','.join(map(str, range(torch.cuda.device_count())))
    show_gpus(names.split(',')[number].strip(), lambda: torch.cuda.device_count() > 1, command, '--device', 'cuda')


def show_gpus(names: str, others_are_seen: Callable[[], bool], command: str | None, *options: str) -> None:
    """Have CUDA see the GPUs of these names alone; where it is too late, call a command again, with options more.

    mmengine asks for GPUs while it is imported, and CUDA looks once at the variable that hides them. None is a program
    of the user's, which is refused, as often as it asks.
    """
    before = os.environ.get(HIDING_VARIABLE)
    os.environ[HIDING_VARIABLE] = names
    if not others_are_seen():
        return
    if command is None:
        del os.environ[HIDING_VARIABLE]
        os.environ.update({} if before is None else {HIDING_VARIABLE: before})
        raise UserError(
            f'device: this program has looked for GPUs already; begin it with {HIDING_VARIABLE}={names} to use others'
        )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, '-m', 'mmgcvit', command, *sys.argv[1:], *options])


def say_that_the_cpu_is_used(processes: int) -> None:
    """One line about several processes without a GPU, for the first of them."""
    hidden = are_hidden(os.environ)
    why = f'The GPUs are hidden ({HIDING_VARIABLE}={os.environ[HIDING_VARIABLE]})' if hidden else 'There is no GPU here'
    sys.stderr.write(f'{why}: {processes} processes run on the CPU, many times slower.\n')
    sys.stderr.flush()
