"""The one switch for TF32: --cfg-options default_hooks.tf32.enabled=False turns it off.

On, as torch had it by default until version 1.12, which is of the paper's month: NVIDIA GPUs since Ampere then round
the inputs of float32 products to 10 bits of mantissa. Training, validation and tests do the same.
"""

default_hooks = dict(tf32=dict(type='mmgcvit.TF32Hook', enabled=True))
