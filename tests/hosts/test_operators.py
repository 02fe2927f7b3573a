"""What stands in for mmcv's compiled operators is found where there are none, and computes what they compute."""

import importlib.util
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn.functional import one_hot

from mmgcvit.hosts import finder, operators

from ..conftest import ROOT
from ..memory import peak_here
from ..models.fake_cuda import fake_cuda
from ..models.layers.test_attention import operators_called
from . import plain


def load_stand_ins():
    """The module, also where mmcv has compiled operators."""
    path = finder.__file__.replace('finder.py', 'stand_ins.py')
    spec = importlib.util.spec_from_file_location('stand_ins', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STAND_INS = load_stand_ins()
needs_compiled = pytest.mark.skipif(not operators.are_compiled(), reason='this mmcv has no compiled operators')


def random_boxes(number, size=40.0):
    corners = torch.rand(number, 2, 2) * size
    return torch.cat([corners.amin(1), corners.amax(1) + 1], 1)


def random_rois(number, num_images, size=40.0):
    return torch.cat([torch.randint(num_images, (number, 1)).float(), random_boxes(number, size)], 1)


@given(
    number=st.integers(0, 12), threshold=st.floats(0.1, 0.9), offset=st.sampled_from([0, 1]), seed=st.integers(0, 99)
)
def test_nms_keeps_what_the_definition_keeps_in_its_order(number, threshold, offset, seed, device):
    torch.manual_seed(seed)
    boxes, scores = random_boxes(number), torch.rand(number)
    kept = STAND_INS.nms(boxes.to(device), scores.to(device), iou_threshold=threshold, offset=offset)
    assert kept.tolist() == plain.nms(boxes.tolist(), scores.tolist(), threshold, offset)


def align(module, maps, rois, size=(3, 2), scale=0.25, aligned=True, ratio=0):
    """RoIAlign and the gradient of its maps, by mmcv's calling convention."""
    output, no_argmax = maps.new_zeros(len(rois), maps.shape[1], *size), maps.new_zeros(0)
    options = {'aligned_height': size[0], 'aligned_width': size[1], 'spatial_scale': scale, 'aligned': aligned}
    options |= {'sampling_ratio': ratio, 'pool_mode': 1}
    module.roi_align_forward(maps, rois, output, no_argmax, no_argmax, **options)
    grad_output, grad_maps = torch.cos(torch.arange(output.numel())).to(maps).view(output.shape), torch.zeros_like(maps)
    module.roi_align_backward(grad_output, rois, no_argmax, no_argmax, grad_maps, **options)
    return output, grad_output, grad_maps


def rois_beside_steps(number, num_images, side):
    """Of images of four times that side, up to a side outside of them; some are empty.

    In 64ths of a cell the near corner is 4k + 1 and the far one 4k. So in 3 or 2 bins no sample lies where its value
    has a step, a cell beyond the map, and no bin is a whole number of cells long, where one more sample begins.
    """
    corners = torch.randint(-16 * side, 32 * side, (number, 2, 2)).sort(1)[0].flatten(1) * 4
    return torch.cat([torch.randint(num_images, (number, 1)), (corners + torch.tensor([1, 1, 0, 0])) / 16], 1)


@given(
    number=st.integers(0, 4),
    side=st.integers(1, 12),
    channels=st.sampled_from([2, STAND_INS.FEWEST_CHANNELS]),
    aligned=st.booleans(),
    ratio=st.sampled_from([0, 2]),
    autocast=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_roi_align_and_its_gradient_are_those_of_the_definition(
    number, side, channels, aligned, ratio, autocast, dtype, seed, device
):
    torch.manual_seed(seed)
    maps, rois = torch.rand(2, channels, side, side + 1, dtype=torch.float64), rois_beside_steps(number, 2, side)
    with torch.autocast(device, enabled=autocast):
        found = align(STAND_INS, maps.to(device, dtype), rois.to(device, dtype), (3, 2), 0.25, aligned, ratio)
    output, grad_output, grad_maps = (x.cpu() for x in found)
    maps.requires_grad_()
    expected = plain.roi_align(maps, rois.double(), (3, 2), 0.25, aligned, ratio)
    # A place is off by five roundings of up to three sides, across and down, and values of up to 1 change by no more
    # than places do. Rows and columns add up a side each.
    bound = (2 * 5 * 3 + 2) * (side + 1) * torch.finfo(dtype).eps
    assert ((output - expected).abs() <= bound).all()
    # RoIs that lie outside of their image as a whole have nothing to do with it.
    wanted = torch.zeros_like(maps)
    if expected.requires_grad:
        wanted = torch.autograd.grad(expected, maps, grad_output.double())[0]
    assert ((grad_maps - wanted).abs() <= bound * max(number, 1) * 6).all()  # each bin's is up to 1


@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_of_boxes_that_are_not_finite_goes_on(ratio):
    rois = torch.tensor([[0, float('nan'), 0, 4, 4], [1, 0, 0, float('inf'), 4]])
    assert all(x.isfinite().all() for x in align(STAND_INS, torch.rand(2, 128, 6, 6), rois, ratio=ratio))


@pytest.mark.parametrize(
    ('channels', 'height', 'by_torchvision'),
    [(128, 50, set()), (127, 50, {'torchvision::roi_align'}), (128, 51, {'torchvision::roi_align'})],
)
def test_roi_align_on_cpus_is_products_but_for_the_forward_pass_of_few_channels_or_boxes(
    channels, height, by_torchvision
):
    maps, rois = torch.rand(1, channels, height, 20), random_rois(2, 1)
    called = operators_called(lambda: align(STAND_INS, maps, rois))
    assert {name for name in called if name.startswith('torchvision::')} == by_torchvision


def test_roi_align_reads_no_numbers_of_fake_tensors():
    with FakeTensorMode():
        output, _, grad_maps = align(STAND_INS, torch.rand(1, 128, 6, 6), random_rois(2, 1))
    assert (output.shape, grad_maps.shape) == ((2, 128, 3, 2), (1, 128, 6, 6))


def overlaps(boxes, others, mode=0, aligned=False):
    ious = torch.zeros(len(boxes) * (1 if aligned else len(others)), dtype=boxes.dtype)
    STAND_INS.box_iou_rotated(boxes, others, ious, mode_flag=mode, aligned=aligned)
    return ious if aligned else ious.view(len(boxes), -1)


@given(number=st.integers(1, 12), angle=st.floats(-4, 4), threshold=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_boxes_that_are_turned_together_overlap_and_are_suppressed_as_upright_ones(number, angle, threshold, seed):
    torch.manual_seed(seed)
    upright, scores, classes = random_boxes(number).double(), torch.rand(number), torch.randint(2, (number,))
    angles = torch.full((number,), angle, dtype=torch.float64)
    centres = torch.view_as_complex(upright.view(-1, 2, 2)).mean(1) * torch.polar(torch.ones_like(angles), angles)
    sides = upright[:, 2:] - upright[:, :2]
    boxes = torch.cat([torch.view_as_real(centres), sides, angles[:, None]], 1)
    expected = [[plain.iou(a, b, 0) for b in upright.tolist()] for a in upright.tolist()]
    # Places of up to 60 px and sides from 1: a few roundings of products of up to 60 * 40.
    torch.testing.assert_close(overlaps(boxes, boxes), boxes.new_tensor(expected), rtol=0, atol=1e-11)
    for labels, apart in ((classes, 1e3), (None, 0)):
        order = scores.argsort(descending=True)
        given_boxes = boxes if labels is None else torch.cat([boxes, labels[:, None]], 1)
        kept = STAND_INS.nms_rotated(boxes, scores, order, given_boxes[order], labels, threshold, labels is not None)
        # Classes far from each other are matters of their own.
        moved = (upright + apart * classes[:, None]).tolist()
        assert kept.tolist() == plain.nms(moved, scores.tolist(), threshold, 0)


def test_turned_boxes_overlap_in_polygons_and_those_without_numbers_not_at_all():
    """Two squares, one turned by 45 degrees, share a regular octagon."""
    # With scores behind them, as mmrotate's metric has them.
    square, nothing = torch.tensor([[5, 5, 4, 4, 0, 0.9]]), torch.tensor([[5, float('nan'), 4, 0, 0, 0.9]])
    turned = torch.tensor([[5, 5, 4, 4, torch.pi / 4]])
    for mode, expected in ((0, 2**-0.5), (1, 2 * 2**0.5 - 2)):
        assert overlaps(square, turned, mode).item() == pytest.approx(expected, abs=1e-6)  # of float32's angle
    assert overlaps(torch.cat([square, nothing]), torch.cat([turned, turned]), aligned=True)[1] == 0


def focal(logits, targets, weight, gamma):
    """The definition and its gradient, in float64."""
    logits = logits.double().requires_grad_()
    p, is_class = logits.sigmoid(), one_hot(targets, logits.shape[1]).bool()
    losses = torch.where(is_class, -0.25 * (1 - p) ** gamma * p.log(), -0.75 * p**gamma * (1 - p).log())
    losses = losses * weight.double()[targets, None] if len(weight) else losses
    return losses.detach(), torch.autograd.grad(losses.sum(), logits)[0]


@given(
    number=st.integers(1, 5), classes=st.integers(1, 4), gamma=st.sampled_from([0.5, 1.5, 2.0]), seed=st.integers(0, 99)
)
def test_focal_loss_and_its_gradient_are_those_of_the_definition(number, classes, gamma, seed, device):
    torch.manual_seed(seed)
    logits, targets = torch.randn(number, classes) * 4, torch.randint(classes, (number,))
    weight = torch.rand(classes) if seed % 2 else torch.empty(0)
    expected = focal(logits, targets, weight, gamma)
    logits, targets, weight = (x.to(device) for x in (logits, targets, weight))
    output, gradient = torch.zeros_like(logits), torch.zeros_like(logits)
    STAND_INS.sigmoid_focal_loss_forward(logits, targets, weight, output, gamma=gamma, alpha=0.25)
    STAND_INS.sigmoid_focal_loss_backward(logits, targets, weight, gradient, gamma=gamma, alpha=0.25)
    for found, wanted in zip((output, gradient), expected, strict=True):
        torch.testing.assert_close(found.cpu().double(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('gamma', 'certain'), [(2.0, 120.0), (0.5, 40.0)])
def test_focal_loss_of_certain_logits_is_finite_and_an_image_without_objects_is_background(gamma, certain):
    """Its target is one more than the last class, as mmdet numbers the background."""
    options = {'gamma': gamma, 'alpha': 0.25}
    logits = torch.tensor([[-certain, 0.0], [certain, certain]])
    output, gradient = torch.zeros(2, 2), torch.zeros(2, 2)
    STAND_INS.sigmoid_focal_loss_forward(logits, torch.tensor([1, 1]), torch.empty(0), output, **options)
    STAND_INS.sigmoid_focal_loss_backward(logits, torch.tensor([1, 1]), torch.empty(0), gradient, **options)
    assert output.isfinite().all()
    assert gradient.isfinite().all()
    logits, output = torch.randn(2, 3), torch.zeros(2, 3)
    STAND_INS.sigmoid_focal_loss_forward(logits, torch.tensor([3, 3]), torch.empty(0), output, **options)
    p = logits.sigmoid()
    # log(1 - p) has lost some of the 24 bits where p is near 0 or 1.
    torch.testing.assert_close(output, -0.75 * p**gamma * torch.log(1 - p), rtol=1e-4, atol=1e-6)


def deformable(shapes, queries=3, batch=2, heads=2, width=4, dtype=torch.float64, device='cpu'):
    """Arguments of deformable attention, some places outside of the maps, and a gradient of its result."""
    options = {'dtype': dtype, 'device': device}
    value = torch.rand(batch, sum(h * w for h, w in shapes), heads, width, **options)
    locations = torch.rand(batch, queries, heads, len(shapes), 2, 2, **options) * 1.2 - 0.1
    weights = torch.rand(batch, queries, heads, len(shapes), 2, **options)
    given_shapes, starts = torch.tensor(shapes, device=device), torch.zeros(len(shapes), device=device)
    return (value, given_shapes, starts, locations, weights), torch.rand(batch, queries, heads * width, **options)


def deformable_step(arguments, grad_output):
    """The result and the gradients of values, locations and weights."""
    found = [torch.zeros_like(arguments[i]) for i in (0, 3, 4)]
    output = STAND_INS.ms_deform_attn_forward(*arguments, im2col_step=64)
    STAND_INS.ms_deform_attn_backward(*arguments, grad_output, *found, im2col_step=64)
    return output, *found


@pytest.mark.parametrize('most_bytes', [STAND_INS.MOST_SAMPLE_BYTES, 1], ids=['all heads', 'a head at a time'])
def test_deformable_attention_and_its_gradients_are_those_of_mmcvs_formulation(most_bytes, monkeypatch):
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch as of_mmcv

    monkeypatch.setattr(STAND_INS, 'MOST_SAMPLE_BYTES', most_bytes)
    shapes = ((5, 7), (3, 4))
    arguments, grad_output = deformable(shapes)
    output, *found = deformable_step(arguments, grad_output)
    inputs = [arguments[i].requires_grad_() for i in (0, 3, 4)]
    expected = of_mmcv(inputs[0], torch.tensor(shapes), *inputs[1:])
    assert (output - expected).abs().max() < 1e-12
    wanted = torch.autograd.grad(expected, inputs, grad_output)
    for name, a, b in zip(('value', 'locations', 'weights'), found, wanted, strict=True):
        assert (a - b).abs().max() < 1e-10, name


@pytest.mark.skipif(torch.__version__.startswith('2.1.'), reason='its fake tensors want a driver')
def test_deformable_attention_reads_nothing_from_a_gpu_but_the_sizes_and_these_once_a_batch():
    """Layers of a batch share the tensor of sizes, forward and backward."""
    arguments, grad_output = deformable(((5, 7), (3, 4)))
    deformable_step(arguments, grad_output)
    noted = arguments[1].as_numbers
    with fake_cuda():
        arguments, grad_output = deformable(((5, 7), (3, 4)), device='cuda')
        with pytest.raises(DataDependentOutputException):
            deformable_step(arguments, grad_output)
        arguments[1].as_numbers = noted
        output, *found = deformable_step(arguments, grad_output)
        assert output.device.type == 'cuda'
        assert [x.shape for x in found] == [arguments[i].shape for i in (0, 3, 4)]


def test_deformable_attention_takes_a_fifth_of_the_memory_of_mmcvs_formulation(monkeypatch):
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    monkeypatch.setattr(STAND_INS, 'MOST_SAMPLE_BYTES', 1 << 20)  # as these are fewer places than images have
    arguments, grad_output = deformable(((48, 64), (24, 32), (12, 16), (6, 8)), 4080, 1, 8, 32, torch.float32)

    def of_mmcv():
        inputs = [arguments[i].detach().requires_grad_() for i in (0, 3, 4)]
        torch.autograd.grad(
            multi_scale_deformable_attn_pytorch(inputs[0], arguments[1], *inputs[1:]), inputs, grad_output
        )

    ours, theirs = (
        peak_here(torch.nn.Module(), SimpleNamespace(prepare=lambda model, step=step: step))
        for step in (lambda: deformable_step(arguments, grad_output), of_mmcv)
    )
    assert ours < 0.2 * theirs


def test_the_line_about_who_serves_is_no_part_of_a_compiled_graph():
    STAND_INS.say_once.cache_clear()
    logits, output = torch.randn(2, 3), torch.zeros(2, 3)
    compiled = torch.compile(STAND_INS.sigmoid_focal_loss_forward, backend='eager', fullgraph=True)
    compiled(logits, torch.tensor([0, 1]), torch.empty(0), output, gamma=2.0, alpha=0.25)
    assert output.all()
    assert STAND_INS.say_once.cache_info().currsize == 1
    STAND_INS.say_who_serves()  # still is a function: torch 2.1's compiler overwrites globals


def test_any_other_operator_and_maxima_are_refused_by_name_when_they_are_called():
    softnms, maps = STAND_INS.softnms, torch.rand(1, 1, 4, 4)
    with pytest.raises(NotImplementedError, match=r"mmcv's operator softnms .*make install OPERATORS=compiled"):
        softnms(torch.rand(1, 4), iou_threshold=0.5)
    with pytest.raises(NotImplementedError, match=r"roi_align with pool_mode='max'.*OPERATORS=compiled"):
        STAND_INS.roi_align_forward(maps, random_rois(1, 1), maps, maps, maps, 2, 2, 1.0, 0, 0, True)


@needs_compiled
def test_nms_and_roi_align_are_those_of_the_compiled_operators():
    compiled = import_module('mmcv._ext')
    boxes, scores = random_boxes(500, 200.0), torch.rand(500)
    for offset in (0, 1):
        arguments = {'iou_threshold': 0.5, 'offset': offset}
        assert torch.equal(STAND_INS.nms(boxes, scores, **arguments), compiled.nms(boxes, scores, **arguments))
    maps, rois = torch.rand(2, 128, 50, 76), random_rois(40, 2, 300.0)
    for aligned, ratio in ((True, 0), (True, 2), (False, 0), (False, 2)):
        ours, theirs = (align(module, maps, rois, (7, 7), 0.25, aligned, ratio) for module in (STAND_INS, compiled))
        for mine, other in zip(ours, theirs, strict=True):
            # Averages of up to 7 x 7 samples of four products each, in another order.
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope='module')
def plain_mmcv(tmp_path_factory):
    """A folder with mmcv, but for its compiled operators."""
    folder = tmp_path_factory.mktemp('plain')
    (folder / 'mmcv').mkdir()
    for path in Path(importlib.util.find_spec('mmcv').origin).parent.iterdir():
        if not path.name.startswith('_ext'):
            (folder / 'mmcv' / path.name).symlink_to(path)
    return folder


def printed(code, first, *arguments):
    """The last line that some code prints, ``first`` being the first folder that Python looks for modules in."""
    environment = os.environ | {'PYTHONPATH': f'{first}:{ROOT}', 'PYTHONWARNINGS': 'ignore'}
    command = [sys.executable, '-c', code, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


DETECT = """
import sys
import numpy as np
from mmdet.apis import DetInferencer
import mmcv._ext
inferencer = DetInferencer(sys.argv[1], device='cpu', show_progress=False)
found = inferencer(np.zeros((128, 128, 3), np.uint8), no_save_pred=True)['predictions']
print(mmcv._ext.__file__, len(found), sorted(found[0]))
"""
NOT_TOLD_AT_START = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if type(finder).__name__ != 'StandInFinder']
import mmgcvit, mmcv.ops, mmcv._ext
print(mmcv._ext.__file__)
"""


@pytest.mark.long
def test_mmdets_inferencer_works_before_an_import_of_mmgcvit(plain_mmcv):
    """As mmdet's own scripts: they import its operators before a config can import mmgcvit."""
    line = printed(DETECT, plain_mmcv, ROOT / 'tests' / 'data' / 'configs' / 'detect.py')
    assert "mmgcvit/hosts/stand_ins.py 1 ['bboxes', 'labels'" in line


@pytest.mark.slow
def test_where_python_is_not_told_at_its_start_importing_mmgcvit_tells_it(plain_mmcv):
    assert printed(NOT_TOLD_AT_START, plain_mmcv).endswith('mmgcvit/hosts/stand_ins.py')


def test_compiled_operators_are_known_as_such_in_a_folder_of_this_projects_name(monkeypatch, tmp_path):
    """As in the environment of a clone: mmgcvit/.venv/lib/..."""
    compiled = tmp_path / 'mmgcvit' / '.venv' / 'lib' / 'mmcv' / '_ext.so'
    for origin, expected in ((compiled, True), (finder.__file__.replace('finder.py', 'stand_ins.py'), False)):
        monkeypatch.setattr(operators, 'find_spec', lambda name, origin=origin: SimpleNamespace(origin=origin))
        assert operators.are_compiled() == expected


def test_what_python_imports_at_its_start_imports_nothing_else():
    """It is paid by every process of the environment."""
    code = 'import sys; before = set(sys.modules); import finder; finder.serve_stand_ins(); '
    assert printed(f'{code}print(*set(sys.modules) - before)', Path(finder.__file__).parent) == 'finder'
