"""Work dirs as mmengine's local backend writes them."""

import json
from pathlib import Path


def iteration(i, loss=1.0, epoch=1, **values):
    return {'lr': 1e-4, 'data_time': 0.1, 'loss': loss, 'time': 0.2, 'epoch': epoch, 'iter': i, 'step': i, **values}


def validation(step, **scores):
    return {**scores, 'data_time': 0.1, 'time': 0.2, 'step': step}


def write_session(work_dir: Path, time: str, entries, end='\n'):
    folder = work_dir / time / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)) + end)
    return work_dir
