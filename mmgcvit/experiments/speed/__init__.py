"""Images per second and memory of a whole model, as its config runs it: in inference, and in training steps."""

from .measuring import Row, measure
from .parts import seconds_of_parts
from .work import Inference, Training

__all__ = ['Inference', 'Row', 'Training', 'measure', 'seconds_of_parts']
