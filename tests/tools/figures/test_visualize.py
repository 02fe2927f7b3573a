"""The commands of docs/visualization.md run, on small models in work dirs of the same names; errors
are reported.

Modules: `tools/visualize.py`.
"""

import shlex

import cv2
import pytest

from mmgcvit.errors import UserError
from tools import visualize
from tools.figures.attention_maps import compute_attention
from tools.figures.query_maps import compute_queries
from tools.figures.shift_maps import compute_shifts

from ...docs.pages import read_blocks
from ...predict.conftest import picture_of
from .conftest import LSA, classifier_of

PAGE = 'docs/visualization.md'
BASH = '\n'.join(read_blocks(PAGE, 'bash')).splitlines()
COMMANDS = [shlex.split(line)[2:] for line in BASH if line.startswith('python ')]


@pytest.mark.slow
def test_every_command_and_program_of_the_page_runs(call, tmp_path, monkeypatch, capsys):
    pytest.importorskip('pytorch_grad_cam')
    classifier_of(tmp_path / 'work_dirs' / 'my_classifier', pipeline=[])
    classifier_of(tmp_path / 'work_dirs' / 'my_lsa', type='mmgcvit.LSA', arch=LSA)
    cv2.imwrite(str(tmp_path / 'photo.jpg'), picture_of(128, 160))
    assert {kind for kind, *_ in COMMANDS} == {*visualize.KINDS}
    for command in COMMANDS:
        code, printed = call(visualize, *command)
        assert code == 0, printed
        assert (tmp_path / printed.split(': ')[-1].strip()).stat().st_size > 10_000
    (program,) = read_blocks(PAGE, 'python')
    exec(compile(program, 'docs', 'exec'), {})
    assert capsys.readouterr().out


@pytest.mark.slow
def test_options_change_the_figure(call, work_dirs, photo, tmp_path):
    options = ['--stage', 1, '--block', 0, '--head', 1, '--at', '50,20', '--out', 'new/it.svg']
    call(visualize, 'attention', work_dirs['classification'], photo, *options)
    drawn = (tmp_path / 'new' / 'it.svg').read_text()
    assert '<!-- GCViT, stage 1, head 1 -->' in drawn
    assert 'query at (50, 20) px' in drawn


@pytest.mark.usefixtures('photo')
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('attention RUN photo.png --at middle', "'middle': expected X,Y, for example 120,80"),
        ('queries RUN photo.png --head 3', '--head is for attention and shifts, not for queries'),
        ('queries RUN photo.png --out it.txt', 'it.txt: expected a name that ends in .png, .pdf'),
        ('queries RUN photo.png --out photo.png', 'is the input image'),
        ('queries RUN missing.jpg', 'missing.jpg does not exist'),
    ],
)
def test_invalid_arguments_are_rejected_in_one_sentence(call, work_dirs, arguments, message):
    run = str(work_dirs['classification'])
    code, printed = call(visualize, *arguments.replace('RUN', run).split())
    assert code
    assert message in printed


@pytest.mark.parametrize(
    ('compute', 'network', 'asked', 'message'),
    [
        (compute_attention, 'gcvit', {'stage': 4}, 'there is no stage 4. Expected 0 to 3'),
        (compute_attention, 'gcvit', {'stage': -1}, 'there is no stage -1'),
        (
            compute_attention,
            'gcvit',
            {'stage': 1, 'block': 2},
            'no block 2 in stage 1. Expected 0 to 1',
        ),
        (
            compute_attention,
            'gcvit',
            {'stage': 1, 'head': 2},
            'no head 2 in stage 1. Expected 0 to 1',
        ),
        (compute_attention, 'gcvit', {'at': (3, 64)}, 'position 3,64 is outside of the 64 x 64 px'),
        (
            compute_attention,
            'lsa',
            {'stage': 0, 'block': 0},
            'block 0 of stage 0, .*ShiftAttention',
        ),
        (compute_queries, 'lsa', {}, 'LSA has no global query'),
        (compute_shifts, 'gcvit', {}, 'GCViT has no shifted copies'),
        (compute_shifts, 'unshifted', {}, 'has no shifted copies'),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_rejected(
    networks, picture, compute, network, asked, message
):
    with pytest.raises(UserError, match=message):
        compute(networks[network], picture, **asked)
