"""Commands show help and report user errors without importing torch or OpenMMLab packages."""

import json
import sys

import pytest

from mmgcvit.commands.main import COMMANDS

from ..programs import ROOT, run

HEAVY = ('torch', 'mmengine', 'mmcv', 'mmdet')
# Run each call in a forked process; print the exit code, the output and the heavy packages that were imported.
PROGRAM = """
import contextlib, io, json, os, sys
from mmgcvit.commands import main
for call in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if os.fork() == 0:
        said, code = io.StringIO(), 0
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            sys.argv = ['mmgcvit', *call]
            try:
                main.main()
            except SystemExit as end:
                code = end.code
        heavy = [name for name in {heavy} if name in sys.modules]
        answer = code if isinstance(code, int) else 1, f'{{said.getvalue()}}{{code}}', heavy
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        print(answer.read())
"""
CONFIG, NO_CONFIG = 'configs/mask_rcnn_gcvit_t.py', 'configs/mask_rcnn_gcvit_tt.py'
DEMO = 'configs/demo/mask_rcnn_gcvit_digits.py'
MISTAKES = {
    ('trian', CONFIG): 'did you mean train?',
    ('train', CONFIG, '--ampp'): 'unrecognized arguments: --ampp',
    ('train', CONFIG, '--device=cuda:x'): "'cuda:x': expected auto, cpu, cuda or cuda:N",
    ('train', CONFIG, '--device='): "'': expected auto, cpu, cuda or cuda:N",
    ('train', NO_CONFIG, '--device', 'cuda:1', '--local-rank=3'): 'did you mean configs/mask_rcnn_gcvit_t.py?',
    ('train', CONFIG, '--cfg-options', 'a'): 'expected KEY=VALUE',
    ('train', '--data', 'nowhere'): 'there is no folder nowhere',
    ('train',): 'expected either a CONFIG or --data FOLDER',
    ('train', CONFIG, '--epochs', '3'): '--epochs can only be used with --data. To change a CONFIG, edit it',
    ('train', '--data', '.', '--launcher', 'pytorch'): '--data trains in one process',
    ('train', '--data', '.', '--epochs', '0'): '--epochs 0: expected at least 1',
    ('train', '--data', '.', '--tiles', '8'): '--tiles 8: expected at least 32',
    ('train', 'docs'): 'docs is a folder. To train on its data: mmgcvit train --data docs',
    ('test', CONFIG, 'missing.pth'): 'there is no checkpoint missing.pth',
    ('test', DEMO, 'missing.pth', '--out', 'scores.json'): '--out scores.json: expected a name',
    ('test', NO_CONFIG, 'missing.pth'): 'there is no config or work dir',
    ('predict', DEMO, 'missing.jpg'): 'there is no file or folder missing.jpg',
    ('predict', DEMO, 'missing.pth', 'a.jpg'): 'there is no checkpoint missing.pth',
    ('predict', DEMO, 'docs', '--batch-size', '0'): '--batch-size 0: expected at least 1',
    ('predict', 'locks', 'a.jpg'): 'has no config (*.py)',
    ('mistakes', 'nowhere'): 'there is no config or work dir nowhere',
    ('export', 'nowhere', 'out.onnx'): 'there is no config or work dir nowhere',
    ('export', DEMO, 'out.pdf'): 'expected a name that ends in .onnx',
    ('check-data', CONFIG, '--images', '-1'): 'check-data: --images -1: expected at least 0',
    ('check-data', CONFIG, '--contact-sheet', 'sheet.pdf'): 'expected a name that ends in .jpg or .jpeg or .png',
    ('check-data', CONFIG, '--contact-sheet', '/proc/x/a.png'): '--contact-sheet /proc/x/a.png cannot be written',
    ('publish', DEMO): 'is not a work dir, so an output file is needed',
    ('publish', DEMO, 'out.pth'): 'expected a name that ends in .safetensors',
    ('publish', DEMO, 'missing.pth', 'out.safetensors'): 'there is no checkpoint missing.pth',
    ('visualize', 'gradcam', DEMO, 'missing.jpg'): 'missing.jpg does not exist',
    ('convert', 'missing.pth', 'out.pth'): 'there is no checkpoint missing.pth',
    **{(name, NO_CONFIG): 'did you mean configs/mask_rcnn_gcvit_t.py?' for name in ('train', 'check-data')},
}


def answers(calls):
    ended = run([sys.executable, '-c', PROGRAM.format(heavy=HEAVY), json.dumps(calls)], cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.slow
def test_help_of_every_command_imports_neither_torch_nor_openmmlab():
    calls = [[], ['--help'], ['--version'], *([name, '--help'] for name in COMMANDS)]
    wrong = {
        ' '.join(call): answer for call, answer in zip(calls, answers(calls), strict=True) if answer[0] or answer[2]
    }
    assert not wrong


@pytest.mark.slow
def test_user_errors_are_reported_without_importing_torch_or_openmmlab():
    found = zip(MISTAKES.items(), answers(list(MISTAKES)), strict=True)
    wrong = {
        ' '.join(call): (code, said[-300:], heavy)
        for (call, words), (code, said, heavy) in found
        if not code or heavy or words not in said
    }
    assert not wrong
