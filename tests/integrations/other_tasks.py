"""What the tests of other tasks share: each runs beside a host that is no part of the environment."""

import re
import sys

from mmgcvit.experiments.complexity import model_parts

from ..configs.models import ENTRIES, on_meta, parameters_of, read
from ..conftest import ROOT
from ..tools.commands import call, call_in_shell


def wrong_with(name):
    """What of a config's model is not what the metafile says."""
    cfg, metadata = read(f'other_tasks/{name}'), ENTRIES[f'other_tasks/{name}']['Metadata']
    model = on_meta(cfg)
    found = {
        'Parameters': parameters_of(model),
        'FLOPs': sum(
            part.macs for part in model_parts(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
        ),
    }
    return {key: value for key, value in found.items() if value != metadata[key]}


def rehearsed(name, folder, digits=(), **settings):
    """What a training on a few digits prints, by the commands that the config's head has."""
    call('', '-m', 'mmgcvit', 'digits', folder / 'digits', '--train', 200, '--val', 20, *digits)
    source = ROOT / 'configs' / 'other_tasks' / f'{name}.py'
    text = re.sub(r"'([\w./]+\.py)'", lambda base: repr(str((source.parent / base[1]).resolve())), source.read_text())
    for variable, value in {'data_root': f'{folder}/digits/', **settings}.items():
        text, number = re.subn(rf'(?m)^{variable} = .*', f'{variable} = {value!r}', text)
        assert number == 1, variable
    config = folder / source.name
    config.write_text(text)
    # mmrotate's metric spawns processes, which import the script of a real one, and so mmcv's fallback operators.
    return call_in_shell('', sys.executable, ROOT / 'tools' / 'train.py', config, '--work-dir', folder / 'run')
