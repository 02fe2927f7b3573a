"""Export a trained model to an ONNX file, and compare the file's outputs with the model's."""

import warnings
from pathlib import Path

import torch

from ..errors import check_installed
from ..files import write_atomically
from ..inference.model_files import ModelFiles
from ..inference.predictor import Predictor
from .comparing import Difference, compare
from .graphs import DYNAMIC_AXES, INPUT, build_export_module
from .metadata import collect_metadata

# The first opset with LayerNormalization, the newest operator in the exported files.
OPSET = 17
# Shape of the traced example. The windows do not divide the sides of its feature maps, so padding is traced too.
EXAMPLE_SHAPE = (2, 3, 99, 132)


def check_export_packages() -> None:
    """Raise a UserError if a package that an export needs is not installed."""
    check_installed('an export', 'onnx', 'onnxscript', 'onnxruntime')


def export_onnx(predictor: Predictor, model_files: ModelFiles, target: Path, check: bool = True) -> Difference | None:
    """Export a model, which must be on the CPU, to an ONNX file for any image size and batch size.

    If ``check`` is set, the file's outputs in onnxruntime are compared with the model's before ``target`` is written.

    Returns:
        The largest difference between the outputs, or None if they were not compared.

    Raises:
        UserError: The model has parts that cannot be exported, or the outputs differ. Then ``target`` is not written.
    """
    check_export_packages()
    import onnx

    module, metadata = build_export_module(predictor), collect_metadata(predictor, model_files)
    example = torch.randn(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0))
    # Use the TorchScript exporter. The dynamo exporter rejects NMS, as the number of kept boxes depends on the data.
    options = {'dynamo': False} if torch.__version__ >= torch.torch_version.TorchVersion('2.5') else {}
    with write_atomically(target) as unfinished:
        with torch.no_grad(), warnings.catch_warnings():
            # Hide warnings about values that become constants: ``compare`` finds those that change the outputs.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                module,
                (example,),
                str(unfinished),
                input_names=[INPUT],
                output_names=list(module.output_axes),
                dynamic_axes={INPUT: DYNAMIC_AXES, **module.output_axes},
                opset_version=OPSET,
                **options,
            )
        model = onnx.load(unfinished)
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, unfinished)
        return compare(predictor, unfinished) if check else None
