"""Whole files that mutations start from: what runs, trainers and the converter write."""

import copy

import torch
from safetensors.torch import save_file

from mmgcvit.checkpoints import add_digest, read_checkpoint
from mmgcvit.checkpoints.wholeness import write_digest_beside

from . import commands, toy


def make_seeds(sandbox):
    """Files by name, in the sandbox. Each has a digest, in it or beside it."""
    folder = sandbox.folder / 'seeds'
    folder.mkdir()
    commands.train(sandbox, 'train_cfg.max_epochs=1')
    content = read_checkpoint(str(sandbox.work_dir / 'epoch_1.pth'))
    run = with_orders(content, sandbox)
    weights = toy.backbone().state_dict()
    files = {
        'run.pth': run,
        'plain.pth': {'state_dict': {f'backbone.{name}': tensor for name, tensor in weights.items()}},
    }
    for name, saved in files.items():
        torch.save(saved, folder / name)
        add_digest(folder / name)
    torch.save(run, folder / 'before_zip.pth', _use_new_zipfile_serialization=False)
    save_file(weights, folder / 'weights.safetensors')
    for name in ('before_zip.pth', 'weights.safetensors'):
        write_digest_beside(folder / name)
    return {path.name: path for path in sorted(folder.iterdir()) if path.suffix != '.sha256'}


def with_orders(content, sandbox):
    """A run's checkpoint in which everything that a host could execute or remove is there to be."""
    content = copy.deepcopy(content)
    order = f'open({str(sandbox.canary)!r}, "w")'
    content['meta'] |= {'cfg': order, 'config': order}
    info = content['message_hub']['runtime_info']
    info |= {'cfg': order, 'best_ckpt': str(sandbox.victim), 'last_ckpt': str(sandbox.victim), 'best_score': -1.0}
    info['keep_ckpt_ids'] = [1]
    content['message_hub']['resumed_keys'] |= dict.fromkeys(info, True)
    return content
