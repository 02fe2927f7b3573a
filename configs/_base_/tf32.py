"""The one switch for TF32 in whatever runs: --cfg-options default_hooks.tf32.enabled=False turns it off.

NVIDIA GPUs since Ampere then multiply float32 as it is; with it they round the inputs to 10 bits of mantissa, as many
as float16 has, and are several times as fast by their data sheets (not measured by this project). On, because torch did
so by default until version 1.12, which is of the paper's month, and still does in convolutions. Without effect on CPUs
and on older GPUs. Training, validation and tests do the same, so that a checkpoint has the same scores in each.
"""

default_hooks = dict(tf32=dict(type='mmgcvit.TF32Hook', enabled=True))
