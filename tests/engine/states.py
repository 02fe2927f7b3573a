"""What a checkpoint holds of a run's state, and where two such states differ."""

import torch

from mmgcvit.checkpoints import read_checkpoint

COMPARED = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')


def last_content(work_dir):
    """What the newest checkpoint of a work folder holds."""
    return read_checkpoint((work_dir / 'last_checkpoint').read_text().strip())


def last_state(work_dir):
    """Weights, their average, and the states of optimizer and schedules in the newest checkpoint of a work folder."""
    content = last_content(work_dir)
    return {name: content[name] for name in COMPARED}


def difference(found, expected, name='state'):
    """The first place where two states are not the same to the last bit, None if there is none."""
    if isinstance(expected, torch.Tensor):
        is_same = torch.equal(found, expected)
        return None if is_same else f'{name} by up to {(found - expected).abs().max():.1e}'
    if isinstance(expected, dict | list | tuple):
        places = list(expected) if isinstance(expected, dict) else range(len(expected))
        if len(found) != len(expected):
            return f'{name} in its length'
        inside = (difference(found[place], expected[place], f'{name}.{place}') for place in places)
        return next(filter(None, inside), None)
    return None if found == expected else f'{name}: {found} instead of {expected}'
