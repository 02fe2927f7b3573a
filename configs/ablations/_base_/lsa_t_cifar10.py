"""../../lsa_t_cifar10.py with its variant written out, for ablations to change one attribute of."""

_base_ = '../../lsa_t_cifar10.py'

shifts = (
    *((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2)),
    *((1, 1), (1, 2), (1, -1), (-1, 1), (-1, 2), (-1, -1), (2, 1), (2, 2), (2, -1)),
)
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=(192, 192, 192, 192),
            depths=(2, 4, 4, 4),
            num_heads=(3, 3, 3, 3),
            num_kv_heads=(1, 1, 1, 1),
            kernel_size=3,
            stride=1,
            padding=1,
            shifts=shifts,
            img_size=32,
        )
    )
)
