"""ImageNetV2, matched frequency, at data/imagenetv2/, for check-data.

docs/checkpoints.md tests classifiers on it.
"""

test_dataloader = dict(
    dataset=dict(
        type='mmgcvit.ImageNetV2',
        data_root='data/imagenetv2/imagenetv2-matched-frequency-format-val',
        split='',
    )
)
