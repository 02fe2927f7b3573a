"""Commands show help and report user errors without importing torch or other heavy packages."""

import json
import sys

from mmgcvit.commands.main import COMMANDS

from ..programs import run

# For each call, print the exit code, the output and the heavy packages that this or an earlier call
# has imported.
PROGRAM = """
import contextlib, io, json, sys
HEAVY = ('torch', 'mmengine', 'mmcv', 'mmdet', 'cv2', 'scipy', 'supervision', 'matplotlib', 'pandas')
from mmgcvit.commands import main
for call in json.loads(sys.argv[1]):
    said, code = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        sys.argv = ['mmgcvit', *call]
        try:
            main.main()
        except SystemExit as end:
            code = end.code
    heavy = [name for name in HEAVY if name in sys.modules]
    print(json.dumps([code if isinstance(code, int) else 1, f'{said.getvalue()}{code}', heavy]))
"""
# What is said about a command, in which DEMO is a config with weights.
MISTAKES = {
    'trian configs/mask_rcnn_gcvit_t.py': 'did you mean train?',
    'train configs/mask_rcnn_gcvit_t.py --epcohs 3': (
        'unknown argument --epcohs; did you mean --epochs?'
    ),
    'train configs/metafiles/detection.yml': 'To train on a folder of pictures: mmgcvit train --data',
    'train configs/mask_rcnn_gcvit_tt.py --device cuda:1 --local-rank=3': (
        'did you mean configs/mask_rcnn_gcvit_t.py?'
    ),
    'train configs/mask_rcnn_gcvit_t.py --cfg-options a': 'expected KEY=VALUE',
    'train --data nowhere': 'there is no folder nowhere',
    'train': 'expected either a CONFIG or --data FOLDER',
    'train configs/mask_rcnn_gcvit_t.py --epochs 3': (
        '--epochs can only be used with --data. To change a CONFIG, edit it'
    ),
    'train --data . --launcher pytorch': '--data trains in one process',
    'train --data . --patience 0': '--patience 0: expected at least 1',
    'predict x --score-thr nan': '--score-thr nan: expected a number from 0 to 1',
    'predict x --frames 0': '--frames 0: expected at least 1',
    'mistakes x --split train': 'Choose val or test, or look for wrong labels with --labels',
    'mistakes x --score-thr 0.2 --score-thr cat=2': '--score-thr cat=2: expected a number from 0 to 1',
    f'train --data . --epochs {"1" * 400}': '11: expected at least 1, and at most 1,000,000,000',
    'train --data . --lr nan': '--lr nan: expected at least 0',
    'train docs': 'there is no config docs',
    'test configs/mask_rcnn_gcvit_t.py missing.pth': 'there is no checkpoint missing.pth',
    'test DEMO missing.pth --out scores.json': 'scores.json: expected a name',
    'predict DEMO missing.jpg': 'there is no file or folder missing.jpg',
    'predict DEMO missing.pth a.jpg': 'there is no checkpoint missing.pth',
    'predict locks a.jpg': 'one config (*.py): it has none',
    'mistakes nowhere': 'there is no config or work dir nowhere',
    'export DEMO out.pdf': 'expected a name that ends in .onnx',
    'check-data configs/mask_rcnn_gcvit_t.py --contact-sheet sheet.pdf': (
        'expected a name that ends in .jpg or .jpeg or .png'
    ),
    'publish DEMO': 'model.safetensors cannot be written',
    'convert missing.pth out.pth': 'there is no checkpoint missing.pth',
    'check-data configs/mask_rcnn_gcvit_tt.py': 'did you mean configs/mask_rcnn_gcvit_t.py?',
}


def test_help_and_user_errors_are_shown_without_importing_heavy_packages():
    helps = ['', '--help', '--version', *(f'{name} --help' for name in COMMANDS)]
    calls = dict.fromkeys(helps, '') | MISTAKES
    demo = 'configs/demo/mask_rcnn_gcvit_digits.py'
    words = [call.replace('DEMO', demo).split() for call in calls]
    ended = run([sys.executable, '-c', PROGRAM, json.dumps(words)])
    assert ended.returncode == 0, ended.stderr
    for (call, sentence), line in zip(calls.items(), ended.stdout.splitlines(), strict=True):
        code, said, heavy = json.loads(line)
        assert (bool(code), sentence in said, heavy) == (call in MISTAKES, True, []), (call, said)
