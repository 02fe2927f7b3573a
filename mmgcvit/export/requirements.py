"""What exports need beside the package's own requirements."""

from importlib.util import find_spec

from ..inference import UserError

# torch's exporter asks for the first two, checks and quantization for the third.
NEEDED = ('onnx', 'onnxscript', 'onnxruntime')


def check_onnx() -> None:
    """Make sure that the packages are there.

    Raises:
        UserError: They are not.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"{', '.join(missing)} not installed; pip install 'mmgcvit[export]' brings them")
