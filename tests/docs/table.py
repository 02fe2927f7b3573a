"""How each command of the pages is tested. A command belongs to the first row whose pattern is found in it.

A new command of a page needs a row, here or already: one that runs it, small, or one that says why no test does.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mmseg
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import Weights
from mmgcvit.checkpoints.writing import state_dict_for
from mmgcvit.models.gcvit.layouts import LAYOUTS

from ..inference.conftest import make_work_dir
from ..visualization.conftest import iteration, validation, write_session


class Runs(NamedTuple):
    """A command that is run in a copy of the clone, on the tests' few digits.

    Attributes:
        pattern: Found in the command.
        options: What makes it small, put behind it.
        before: What a reader has by then; gets the clone and the tests' digits.
        slow: Whether it takes more than a few seconds.
    """

    pattern: str
    options: str = ''
    before: Callable[[Path, Path], None] | None = None
    slow: bool = False


class Elsewhere(NamedTuple):
    """A command that other tests run as it stands on the page, or in all that it is made of."""

    pattern: str
    files: str


class Left(NamedTuple):
    """A command that no test runs, and why; that it would be understood is tested as far as it is this project's."""

    pattern: str
    reason: str


def with_digits(clone, digits):
    """The data of the demo."""
    (clone / 'data').mkdir()
    (clone / 'data' / 'digits').symlink_to(digits)


def with_own_data(clone, digits):
    """A data set and the config for it, as docs/custom_dataset.md has them: the digits under other names."""
    data = clone / 'data' / 'my_dataset'
    (data / 'annotations').mkdir(parents=True)
    for part in ('train', 'val'):
        (data / part).symlink_to(digits / 'coco' / f'{part}2017')
        (data / 'annotations' / f'{part}.json').symlink_to(
            digits / 'coco' / 'annotations' / f'instances_{part}2017.json'
        )
    template = (clone / 'configs' / 'custom_coco.py').read_text()
    own, lines = re.subn(r'(?m)^classes = .*$', "classes = tuple('0123456789')", template)
    assert lines == 1
    for name in ('my_detector', 'my_model'):
        (clone / 'configs' / f'{name}.py').write_text(own)


def with_released_weights(clone, digits):
    """What stands in for the authors' file: their names, random numbers."""
    (layout,) = (layout for layout in LAYOUTS if layout.key == 'original')
    tensors = GCViT('xxtiny', out_indices=(3,)).state_dict()
    tensors |= {'head.fc.weight': torch.zeros(10, 512), 'head.fc.bias': torch.zeros(10)}
    state_dict = state_dict_for(Weights('', layout, '', False, tensors), layout)
    torch.save({'state_dict': state_dict}, clone / 'gcvit_1k_tiny.pth.tar')


def with_runs(clone, digits):
    """Work dirs of trainings that have logged."""
    for name in ('my_detector', 'first', 'second'):
        entries = [iteration(10, loss_mask=0.5), iteration(20, loss_mask=0.4)]
        scores = validation(1, **{'coco/segm_mAP_50': 0.3})
        write_session(clone / 'work_dirs' / name, '20260101_000000', [*entries, scores])


def with_a_trained_model(clone, digits):
    """The work dir of a detector."""
    make_work_dir(clone / 'work_dirs' / 'my_detector', 'detection')


# Of the demo's trainings: one epoch of the tests' few images.
ONE_EPOCH = 'train_cfg.max_epochs=1 train_dataloader.num_workers=0 train_dataloader.persistent_workers=False'
ONE_EPOCH += ' val_dataloader.num_workers=0 val_dataloader.persistent_workers=False'
ONE_ITERATION = ONE_EPOCH.replace('max_epochs', 'max_iters')

UPERNET = 'train.py configs/demo/upernet_lsa_digits.py'

TABLE = [
    # What makes and looks at data.
    Runs('^mmgcvit digits data/digits(20 --train 20)?$', options='--train 8 --val 4 --size 128'),
    Runs(r'^cp configs/custom_\w+.py configs/my_\w+.py'),
    Runs(r'check-data configs/my_\w+.py', before=with_own_data, slow=True),
    # Trainings of the demo's size.
    Runs(
        'train.py configs/demo/lsa_digits_cls.py',
        f'--cfg-options {ONE_EPOCH} train_dataloader.dataset.indices=64',
        with_digits,
        slow=True,
    ),
    Runs(
        'train.py configs/demo/mask_rcnn_lsa_digits.py',
        f'--cfg-options {ONE_EPOCH} model.backbone.init_cfg=None',
        with_digits,
        slow=True,
    ),
    Left(UPERNET, 'mmseg 1.2.2 weighs no classes beside pixels without a label')
    if mmseg.__version__ == '1.2.2'
    else Runs(UPERNET, f'--cfg-options {ONE_ITERATION} model.backbone.init_cfg=None', with_digits, slow=True),
    # Runs, and weights.
    Runs('mmgcvit plot', before=with_runs),
    # What looks at the demo's models and data.
    Runs('mmgcvit mistakes', options='--worst 1 --device cpu', before=with_digits, slow=True),
    Runs('mmgcvit browse', options='--number 1 --draws 1', before=with_digits),
    Runs('mmgcvit speed', options='--rounds 1 --no-memory --photo-size 64 64 --device cpu'),
    Runs('mmgcvit convert gcvit_1k_tiny.pth.tar gcvit_t.pth', before=with_released_weights),
    Runs('mmgcvit publish work_dirs', before=with_a_trained_model),
    Runs('mmgcvit predict configs/demo/mask_rcnn_gcvit_digits.py docs/images/digits.jpg', slow=True),
    Runs('mmgcvit test configs/demo', before=with_digits, slow=True),
    # What other tests run.
    Elsewhere('other_tasks/|--turn 60|work_dirs/(keypoints|rotated)', 'tests/integrations/other_tasks.py'),
    Elsewhere('mmgcvit dry-run configs', 'tests/experiments/test_dry_run.py'),
    Elsewhere(
        r'dist_train.sh configs/demo/\S+ 2|#SBATCH|TORCH_DISABLE_SHARE|torchrun', 'tests/tools/test_launchers.py'
    ),
    Elsewhere('^mmgcvit export .* --int8', 'tests/export/test_int8.py'),
    Elsewhere('^mmgcvit export', 'tests/export/test_files.py'),
    Elsewhere(r'--track|^python -m tests\.inference\.clip', 'tests/integrations/test_track.py'),
    Elsewhere('mmgcvit predict', 'tests/inference/test_docs.py'),
    Elsewhere('train.py configs/my_model.py --cfg-options', 'tests/configs/test_custom_dataset_page.py'),
    Elsewhere('^mmgcvit visualize', 'tests/visualization/test_visualize.py'),
    Elsewhere('^mmgcvit web (?!.*--build)', 'tests/web/test_command.py'),
    Elsewhere('^mmgcvit web .*--build|^make web$', 'tests/web/conftest.py'),
    Elsewhere('^mmgcvit train --data (photos|data/digits20/coco)', 'tests/engine/test_own_data.py'),
    Elsewhere('mmgcvit ablate', 'tests/commands/test_ablate.py'),
    Elsewhere('mmgcvit publish configs/demo', 'tests/commands/test_publish.py'),
    Elsewhere('^mmgcvit demo ', 'tests/tools/test_demo.py'),
    Elsewhere(
        r'^mv |^mmgcvit digits .*--seed|--data data/photos/coco|my_detector/made/', 'tests/docs/test_first_afternoon.py'
    ),
    # What no test runs.
    Left(
        r'^make (demo|demo-seg|install|test|test-all|test-gpu|gpu-wheels|lint|docs|docs-links)( [A-Z_]+=[\w.]+)?$',
        'installs, or is what runs the tests; tests/tools/test_demo.py',
    ),
    Left(r'^cp -r "\$\(python -c', 'of an installed package; tests/test_metadata.py holds that they are there'),
    Left('^(git clone|cd|source) ', "a reader's own folder and shell"),
    Left('^python -m http.server', "the standard library's; it serves until it is ended"),
    Left(r'^(pip install|python3 -m venv|\.venv/bin/)', 'changes the environment'),
    Left('^python -m pytest ', 'the tests themselves'),
    Left(r'^python3? -m tests\.', 'measures for minutes or hours'),
    Left(r'slurm_(train|test)\.sh', 'needs a cluster; tests/tools puts a stand-in for srun'),
    Left('MASTER_ADDR=', 'needs two machines; tests/tools/test_launchers.py starts two nodes on one'),
    Left(
        r'dist_(train|test)\.sh configs/\S+ (\S+ )?(4|8|16)\b', 'needs GPUs and data; tests/tools starts two processes'
    ),
    Left(r'test\.py configs/gcvit_t_in1k.py', 'needs ImageNet'),
    Left(r'(train|test)\.py (configs/my_\w+.py|configs/NAME.py|CONFIG)', 'hours on a CPU; dry runs go through it'),
    Left(
        'mmgcvit benchmark',
        'measures for minutes, and nothing beside other tests; tests/experiments/test_benchmark.py calls each',
    ),
    Left('^--cfg-options', 'a part of a command'),
]

# Programs that begin in the middle: what a reader has by then.
BEFORE = {
    'model.backbone.compile()': """
import mmseg
import torch
from mmgcvit import GCViT
model = torch.nn.Module()
model.backbone = GCViT('xxtiny')
""",
    "GCViT.from_pretrained('backbone'), out_channels": """
from mmgcvit import GCViT
GCViT('xxtiny').save_pretrained('backbone')
""",
    'mmgcvit.integrations.timm': """
from mmgcvit import GCViT
GCViT('tiny').save_pretrained('backbone')
""",
    'torch.onnx.export(': """
import mmseg
import torch
from torch.export import Dim
from mmgcvit import GCViT
model = GCViT(dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), mlp_ratio=2))
""",
}
LONG_PROGRAMS = ('torch.onnx.export(',)
# Programs that other tests run, by words in them.
RUN_ELSEWHERE = {
    'Runner(': 'tests/export/test_files.py',
    'mmgcvit.load(': 'tests/inference/test_docs.py, tests/visualization/test_visualize.py',
    'Inferencer(': 'tests/inference/test_docs.py',
    "COCO('predictions/images.json')": 'tests/inference/test_docs.py',
    'mmgcvit.integrations.transformers': 'tests/integrations/test_transformers.py',
}
# Blocks in other languages, and why they are not run: what a page shows, not what one types.
OTHER_LANGUAGES = {
    '': 'output, or a tree of files',
    'text': 'output',
    'json': 'output; tests/inference/test_docs.py compares it',
    'yaml': 'needs a Kubernetes cluster; tests/commands/test_launcher.py looks at it',
    '{toctree}': 'the site',
    '{eval-rst}': 'the site',
}
# What stands for a name of the reader's.
PLACEHOLDERS = {
    'configs/NAME.py': 'configs/mask_rcnn_gcvit_t.py',
    'configs/my_detector.py': 'configs/custom_coco.py',
    'configs/my_model.py': 'configs/custom_coco.py',
    'CONFIG': 'configs/mask_rcnn_gcvit_t.py',
    'CHECKPOINT': 'checkpoint.pth',
}
# Settings that mmengine reads where a config has them, and that no config of ours has.
SETTINGS_OF_HOSTS = ('compile', 'env_cfg.dist_cfg.timeout')
