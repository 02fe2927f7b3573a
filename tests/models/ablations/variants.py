"""The names of all registered variants."""

from mmgcvit.models import ablations
from mmgcvit.registry import MODELS

ALL = [
    name
    for name, kind in MODELS.module_dict.items()
    if kind.__module__.startswith(ablations.__name__)
]
