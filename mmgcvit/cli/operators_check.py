"""mmcv's compiled operators must fit the device that the model will run on."""

import torch


def check_operators() -> None:
    """Refuse to start on a GPU beside an mmcv that was built without CUDA; its operators would stop the first step.

    Raises:
        SystemExit: That is the case; the message says what to do.
    """
    if not torch.cuda.is_available():
        return
    from mmcv.ops import get_compiling_cuda_version

    if get_compiling_cuda_version() == 'not available':
        raise SystemExit(
            'There is a GPU, but mmcv was built for the CPU only. Build it again with nvcc at hand '
            "('FORCE_CUDA=1 make install'), or hide the GPU: CUDA_VISIBLE_DEVICES=-1"
        )
