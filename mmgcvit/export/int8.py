"""Files of ONNX with weights in 8 bits, by onnxruntime's own tool: from calibration images, or without any.

Quantized are the convolutions and the products with a weight. What has no weight stays in float32: the products inside
of attention, softmax, LayerNorm, boxes and their suppression; and what a detector's heads end in, and LSA's positions.
"""

import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from ..errors import UserError, first_line
from ..inference.inputs import find_inputs
from .checking import picture_of_chance, run, session_of
from .graphs import INPUT

# As metadata of a file say it; a file without it is float32.
PRECISION, INT8 = 'precision', 'int8'
# What a detector's heads end in: scores, shifts of boxes, mask logits. With them in 8 bits a box mAP of 82.8 on the
# digits fell to 81.6, in float32 it was 82.9 (24 scenes to calibrate on) or 82.5 (40), for 1 % more of a file.
LAST_LAYERS = re.compile(r'/(rpn_cls|rpn_reg|fc_cls|fc_reg|conv_logits)[^/]*/')
# MatMulConstBOnly: no product of two activations, as attention's are. reduce_range: weights from -64 to 64, since sums
# of two products with larger ones overflow 16 bits, and are clipped, on x86 processors without VNNI: there a mIoU of
# 75.0 on the digits fell to 67.1, with it to 75.0 (static, 40 scenes to calibrate on).
OPTIONS = {'per_channel': True, 'reduce_range': True, 'extra_options': {'MatMulConstBOnly': True}}


def quantize(path: Path, images: Sequence[str] | None = None) -> None:
    """Replace a float32 file by its quantized one, with its metadata and ``precision: int8``.

    With image files activations and convolutions are in 8 bits too, by the ranges that they have on these
    (``quantize_static``, QDQ). Without, activations are by the range that each has when the file runs
    (``quantize_dynamic``), and convolutions stay in float32, which onnxruntime runs faster.

    Where onnxruntime's tool fails, or onnxruntime cannot run its file, the file is as before.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic, quantize_static

    from .runner import Runner, as_array

    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    # The tool gives advice to prepare the file, also where that is done.
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}') as folder:
            prepared, quantized = Path(folder, 'prepared.onnx'), Path(folder, 'quantized.onnx')
            # Its symbolic shapes end in an assertion on graphs whose windows follow from the size of the map.
            quant_pre_process(path, prepared, skip_symbolic_shape=True)
            options = {
                'weight_type': QuantType.QInt8,
                'nodes_to_exclude': left_in_float32(prepared),
                'op_types_to_quantize': ['MatMul', 'Gemm'] if images is None else ['Conv', 'MatMul', 'Gemm'],
                **OPTIONS,
            }
            if images is None:
                quantize_dynamic(prepared, quantized, **options)
            else:
                runner = Runner(path)
                left = ({INPUT: runner.normalised(runner.prepared(as_array(image)))} for image in images)
                reader = SimpleNamespace(get_next=lambda: next(left, None))
                quantize_static(prepared, quantized, reader, activation_type=QuantType.QUInt8, **options)
            model = onnx.load(quantized)
            run(session_of(quantized.read_bytes()), picture_of_chance((1, 3, 64, 96), seed=0).numpy())
    except (OSError, UserError):
        raise
    # The errors of onnxruntime and of its tool have no base class of their own.
    except Exception as error:
        raise UserError(f"onnxruntime's quantization fails: {first_line(error)}") from None
    finally:
        logging.disable(logging.NOTSET)
    onnx.helper.set_model_props(model, {**entries, PRECISION: INT8})
    onnx.save(model, path)


def calibration_images(named: Sequence[str]) -> list[str]:
    """The images to calibrate on, named as ``mmgcvit predict`` takes them, all of which can be read."""
    from .runner import as_array

    inputs = find_inputs(named)
    if inputs.videos or inputs.cameras or not inputs.images:
        raise UserError(f'--calibrate {" ".join(named)}: expected images alone, neither videos nor cameras')
    for image in inputs.images:
        try:
            as_array(image)
        except ValueError as error:
            raise UserError(f'--calibrate: {error}; leave it out') from None
    return inputs.images


def left_in_float32(path: Path) -> list[str]:
    """The names of a file's operators that a detector's heads end in, and of products with what is no matrix.

    These are LSA's tables of positions (height, width, C), which onnxruntime does not multiply by in 8 bits.
    """
    import onnx

    graph = onnx.load(path).graph
    tables = {tensor.name for tensor in graph.initializer if len(tensor.dims) != 2}
    return [
        node.name
        for node in graph.node
        if LAST_LAYERS.search(node.name) or (node.op_type == 'MatMul' and tables & set(node.input))
    ]
