"""Where each second of a training step goes: the five largest costs, launches, and waits for the device."""

import sys
from collections import Counter

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from .machine import say
from .memory import training_step

CONFIGS = {'cuda': ('mask_rcnn_gcvit_t', 'cascade_gcvit_b'), 'cpu': ('demo/mask_rcnn_gcvit_digits',)}
STEPS, LARGEST = 3, 5
WARMUP = {'cuda': 3, 'cpu': 1}
# What has the host wait for the device; on a CPU, where nothing waits, the operators that would.
WAITS = ('cudaStreamSynchronize', 'cudaDeviceSynchronize', 'cudaEventSynchronize', 'cudaMemcpy')
WOULD_WAIT = ('aten::_local_scalar_dense', 'aten::nonzero', 'aten::masked_select')
LAUNCHES = ('cudaLaunchKernel', 'cudaLaunchKernelExC', 'cuLaunchKernel', 'cuLaunchKernelEx')


def main(device):
    for name in CONFIGS[device]:
        step, shape = training_step(name, device, amp=device == 'cuda')
        for _ in range(WARMUP[device]):
            step()
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == 'cuda' else [])
        with profile(activities=activities) as profiled:
            for _ in range(STEPS):
                step()
        tell(name, shape, profiled, device)


def tell(name, shape, profiled, device):
    """The table of a config, figures of one step."""
    computes = DeviceType.CUDA if device == 'cuda' else DeviceType.CPU
    events = profiled.events()
    spent, calls = Counter(), Counter()
    for event in events:
        calls[event.name] += 1
        # A range of the profiler spans kernels that are counted themselves.
        if event.device_type == computes and not getattr(event, 'is_user_annotation', False):
            own = event.self_device_time_total if device == 'cuda' else event.self_cpu_time_total
            spent[event.name] += own / 1000 / STEPS
    whole = (max(event.time_range.end for event in events) - min(event.time_range.start for event in events)) / 1000
    busy, whole = sum(spent.values()), whole / STEPS
    waits = {name: calls[name] / STEPS for name in (*WAITS, *WOULD_WAIT) if calls[name]}
    launches = sum(calls[name] for name in LAUNCHES) / STEPS
    sys.stdout.write(
        f'{name}, {shape[1]} x {shape[2]} px: {whole:.1f} ms a step, the device busy for {busy:.1f} of them '
    )
    sys.stdout.write(f'({busy / whole:.0%}); {launches:.0f} launches.\n')
    sys.stdout.write(
        f'Waits a step: {", ".join(f"{name} {count:.0f}" for name, count in waits.items()) or "none"}.\n\n'
    )
    say('kernel' if device == 'cuda' else 'operator', 'ms a step', 'share', 'calls')
    say(*['---'] * 4)
    for kernel, milliseconds in spent.most_common(LARGEST):
        label = kernel[:100].replace('|', '\\|')
        say(f'`{label}`', f'{milliseconds:.2f}', f'{milliseconds / busy:.0%}', f'{calls[kernel] / STEPS:.0f}')
    sys.stdout.write('\n')
    sys.stdout.flush()
    torch.cuda.empty_cache()


if __name__ == '__main__':
    main(*sys.argv[1:])
