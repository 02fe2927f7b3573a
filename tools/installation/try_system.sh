#!/usr/bin/env bash
# Try the last commit on another system, in a folder with nothing but Debian and Python in it:
#   tools/installation/try_system.sh SUITE ARCHITECTURE PACKAGES [TESTS ...]
# SUITE: bookworm, trixie, sid, ... of Debian. ARCHITECTURE: amd64, arm64, ... PACKAGES: pins (`make
# install`), or newest (the newest of all that pip finds, also beyond the bounds of the extras).
# It installs, predicts the photo of 24 coins, runs TESTS (arguments of pytest, from the clone), and
# prints a row of the table in docs/installation.md. A second call continues in the same folder.
# It needs root, debootstrap and, for another architecture, qemu-user-static with binfmt-support; 3 GB
# of downloads, and 7 GB for each folder.
# Environment: SYSTEMS, where the folders are (build/systems); TORCH, for example "torch==2.9.1
# torchvision==0.24.1", which is installed first, and which PACKAGES=pins keeps.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 3 ]; then
	sed -n '2,12s/^# \?//p' "$0" >&2
	exit 2
fi
suite=$1 architecture=$2 packages=$3
shift 3
root=$(realpath -m "${SYSTEMS:-build/systems}/$suite-$architecture-$packages")
clone=$root/root/mmgcvit python=.venv/bin/python certificates=/etc/ssl/certs/ca-certificates.crt

inside() { # run a command in the clone of the folder
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PIP_CERT=$certificates \
		PIP_ROOT_USER_ACTION=ignore OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" \
		chroot "$root" sh -c 'cd /root/mmgcvit && exec "$@"' sh "$@"
}

if [ ! -e "$root/created" ]; then
	mkdir -p "$root"
	debootstrap --arch="$architecture" --variant=minbase \
		--include=ca-certificates,git,make,python3-venv "$suite" "$root" > "$root.log"
	touch "$root/created"
fi
# The network of this machine, also behind a proxy with its own certificates
cp /etc/resolv.conf /etc/hosts "$root/etc"
cp "$certificates" "$root/etc/ssl/certs"
mounted=(proc sys dev dev/pts dev/shm)
# debootstrap may leave a link to /proc, and unmounting it would unmount that of this machine.
for folder in "${mounted[@]}"; do
	if [ -L "$root/$folder" ]; then
		rm "$root/$folder" && mkdir "$root/$folder"
	fi
done
unmount() {
	for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do
		! mountpoint -q "$root/${mounted[i]}" || umount --lazy "$root/${mounted[i]}"
	done
}
trap unmount EXIT
for folder in "${mounted[@]}"; do
	mountpoint -q "$root/$folder" || mount --bind "/$folder" "$root/$folder"
done

mkdir -p "$clone"
git archive HEAD | tar -x -C "$clone"
if [ -n "${TORCH:-}" ] && [ ! -e "$clone/.venv" ]; then
	inside python3 -m venv .venv
	inside $python -m pip install --quiet $TORCH
fi
if [ "$packages" = pins ]; then
	inside make install
elif [ ! -e "$clone/.venv/installed" ]; then
	inside python3 -m venv .venv
	inside $python -m pip install --quiet --editable \
		'.[openmmlab,checkpoints,digits,export,measure,plot,predict,test,visualize]'
	inside $python -m pip install --quiet --upgrade torch torchvision numpy
	inside $python -m pip uninstall --quiet --yes opencv-python opencv-python-headless
	inside $python -m pip install --quiet --upgrade opencv-python-headless
	touch "$clone/.venv/installed"
fi
versions=$(inside $python -c "
import platform
from importlib.metadata import version
names = [platform.machine(), platform.python_version(), version('torch'), version('numpy')]
import cv2
print(' | '.join([*names, cv2.__version__]))")

rm -rf "$clone/predictions"
inside .venv/bin/mmgcvit predict configs/demo/mask_rcnn_gcvit_objects.py docs/images/coins.jpg
found=$(inside $python -c "
import json
from pathlib import Path
print(len(json.loads(Path('predictions/predictions.json').read_text())))")
tested='not run'
if [ $# -gt 0 ]; then
	tested=$(inside $python -m pytest -q -p no:cacheprovider "$@" | tee /dev/stderr | tail -n 1) || true
fi
echo "| Debian $suite | $versions | $found coins | $tested |"
