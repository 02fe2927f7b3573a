"""What a run does with numbers that are not finite, see docs/reliability.md.

A step whose loss or gradients are not finite is left out; after most_in_a_row such the run ends. Checkpoints hold
finite numbers only.
"""

default_hooks = dict(
    finite_steps=dict(type='mmgcvit.FiniteStepsHook', most_in_a_row=3),
    finite_checkpoints=dict(type='mmgcvit.FiniteCheckpointsHook'),
)
