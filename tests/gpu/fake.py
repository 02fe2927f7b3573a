"""What fake tensors of CUDA tell is what the device does: shapes, dtypes, strides and devices of training steps."""

import sys
from contextlib import redirect_stdout

from mmgcvit.errors import first_line

from ..models.fake_cuda import Case, cases, run
from ..models.test_fake_cuda import ONE_OF_EACH
from .machine import say
from .run import seconds_left

REHEARSED = [Case('lsa_t_cifar10', (32, 32), None), Case('gcvit_xxt_in1k', (64, 64), None)]
# What a case may take that no other has yet.
SECONDS_OF_ONE = 8


def main(device):
    say('case', 'tensors', 'different')
    say(*['---'] * 3)
    wrong = left_out = 0
    for case in dict.fromkeys([*ONE_OF_EACH, *cases()]) if device == 'cuda' else REHEARSED:
        if seconds_left() < SECONDS_OF_ONE:
            left_out += 1
            continue
        try:
            with redirect_stdout(sys.stderr):  # where mmengine logs
                fake, real = run(case, 'cuda', fake=True), run(case, device)
        except Exception as error:
            found, different = '', f'**{type(error).__name__}: {first_line(error)}**'
        else:
            found, different = len(real), ', '.join(differences(fake, real))
        wrong += bool(different)
        say(case, found, different.replace('|', '\\|'))
    if left_out:
        sys.stdout.write(f'\nNo time was left for {left_out} more.\n')
    if wrong:
        raise SystemExit(f'{wrong} cases differ')


def differences(fake, real):
    """What is otherwise by name, but for the device, which may be a CPU."""
    for name in fake.keys() | real.keys():
        if name not in fake or name not in real:
            yield f'{name} is only {"real" if name in real else "fake"}'
        elif fake[name][:-1] != real[name][:-1]:
            yield f'{name}: fake {fake[name]}, real {real[name]}'


if __name__ == '__main__':
    main(*sys.argv[1:])
