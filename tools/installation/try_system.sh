#!/usr/bin/env bash
# Try the last commit on another system, in a folder with nothing but Debian or Ubuntu, and Python:
#   tools/installation/try_system.sh SUITE ARCHITECTURE PACKAGES [TESTS ...]
# SUITE: bookworm, trixie, sid, ... of Debian, or noble (24.04), resolute (26.04) of Ubuntu.
# ARCHITECTURE: amd64, arm64, ... PACKAGES: pins (`make install`), or newest (the newest of all that
# pip finds, also beyond the bounds of the extras).
# It installs, predicts the photo of 24 coins, runs TESTS (arguments of pytest, from the clone), and
# prints a row of the table in docs/installation.md. A second call continues in the same folder.
# It needs root and debootstrap, and for Ubuntu the package ubuntu-keyring (in Debian 13); 3 GB of
# downloads, and 7 GB for each folder. Another architecture is emulated, which needs qemu-user-static
# with binfmt-support, and uv on PATH, since this machine installs what `make install` would: a
# prediction takes minutes.
# Environment: SYSTEMS, where the folders are (build/systems); TORCH, for example "torch==2.9.1
# torchvision==0.24.1", which is installed first, and which PACKAGES=pins keeps; QEMU_CPU, the emulated
# processor (neoverse-n1).
set -euo pipefail
script=$(realpath "$0")
cd "$(dirname "$script")/../.."
if [ $# -lt 3 ]; then
	sed -n '2,16s/^# \?//p' "$script" >&2
	exit 2
fi
arguments=("$@")
suite=$1 architecture=$2 packages=$3
shift 3
own=$(dpkg --print-architecture)
case $packages in
	pins) ;;
	newest)
		if [ "$architecture" != "$own" ]; then
			echo "PACKAGES newest is for $own, this machine's architecture: use pins" >&2
			exit 2
		fi ;;
	*)
		echo "PACKAGES $packages: expected pins or newest" >&2
		exit 2 ;;
esac
distribution=Debian
case $suite in noble | resolute) distribution=Ubuntu ;; esac
emulated=
if [ "$architecture" != "$own" ]; then emulated=yes; fi
root=$(realpath -m "${SYSTEMS:-build/systems}/$suite-$architecture-$packages")
clone=$root/root/mmgcvit python=.venv/bin/python certificates=/etc/ssl/certs/ca-certificates.crt

inside() { # run a command in the clone of the folder
	QEMU_CPU="${QEMU_CPU:-neoverse-n1}" \
		chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		PIP_CERT=$certificates PIP_ROOT_USER_ACTION=ignore OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" \
		MMGCVIT_TEST_DEVICE=cpu QEMU_CPU="${QEMU_CPU:-neoverse-n1}" \
		sh -c 'cd /root/mmgcvit && exec "$@"' sh "$@"
}

show_processor() { # qemu 7.2 shows this machine's /proc/cpuinfo, with which torch crashes
	local number
	for number in 0 1; do
		printf '%s\t: %s\n' processor $number BogoMIPS 50.00 Features "fp asimd evtstrm aes pmull sha1 \
sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp" 'CPU implementer' 0x41 \
			'CPU architecture' 8 'CPU variant' 0x3 'CPU part' 0xd0c 'CPU revision' 1
		echo
	done > "$root.cpuinfo"
	mount --bind "$root.cpuinfo" "$root/proc/cpuinfo"
}

create_folder() {
	local options=(--arch="$architecture" --variant=minbase --force-check-gpg)
	options+=(--include=ca-certificates,git,make,python3-venv)
	local source=("$suite" "$root")
	if [ "$distribution" = Ubuntu ]; then
		options+=(--components=main,universe) # universe has python3-venv
		# The default mirror, and the script of all releases: an older debootstrap lacks their names.
		source+=('' gutsy)
	fi
	mkdir -p "$root"
	if [ -z "$emulated" ]; then
		debootstrap "${options[@]}" "${source[@]}" > "$root.log"
	else
		# Packages are only unpacked: emulated, their scripts would take long.
		debootstrap --foreign "${options[@]}" "${source[@]}" > "$root.log"
		for package in "$root"/var/cache/apt/archives/*.deb; do
			dpkg-deb --extract "$package" "$root"
		done
	fi
	touch "$root/created"
}

install_pins() {
	if [ -n "${TORCH:-}" ]; then
		[ -e "$clone/.venv" ] || inside python3 -m venv .venv
		inside $python -m pip install --quiet $TORCH
	fi
	inside make install
}

install_newest() {
	[ -e "$clone/.venv/installed" ] && return
	inside python3 -m venv .venv
	inside $python -m pip install --quiet --editable \
		'.[openmmlab,checkpoints,digits,export,measure,plot,predict,test,visualize]'
	inside $python -m pip install --quiet --upgrade torch torchvision numpy
	inside $python -m pip uninstall --quiet --yes opencv-python opencv-python-headless
	inside $python -m pip install --quiet --upgrade opencv-python-headless
	touch "$clone/.venv/installed"
}

install_from_outside() { # what make install would, by this machine's uv
	[ -e "$clone/.venv/installed" ] && return
	local version processor builder=python3 uv
	inside python3 -m venv --without-pip .venv
	version=$(inside $python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	processor=$(inside $python -c 'import platform; print(platform.machine())')
	# Builds wheels of the packages that have none. A shim of pyenv may be there and not run.
	if "python$version" -c '' 2> /dev/null; then builder=python$version; fi
	uv=(uv pip install --quiet --target "$clone/.venv/lib/python$version/site-packages"
		--python-version "$version" --python-platform "$processor-manylinux_2_28"
		--python "$(command -v "$builder")" --compile-bytecode)
	"${uv[@]}" --no-deps --require-hashes --requirement locks/maintained.txt
	"${uv[@]}" ${TORCH:---constraint pins.txt torch torchvision}
	# Last, since opencv-python has the same files, and needs libGL.
	"${uv[@]}" --constraint pins.txt --no-deps --reinstall opencv-python-headless
	"${uv[@]}" --no-deps "$clone"
	touch "$clone/.venv/installed"
}

# What is mounted below is this script's alone, and goes with it.
if [ -z "${OWN_MOUNTS:-}" ]; then
	OWN_MOUNTS=1 exec unshare --mount "$script" "${arguments[@]}"
fi
[ -e "$root/created" ] || create_folder
# The network of this machine, also behind a proxy with its own certificates
cp /etc/resolv.conf /etc/hosts "$root/etc"
cp "$certificates" "$root/etc/ssl/certs"
for folder in proc sys dev dev/pts dev/shm; do
	# debootstrap may leave a link to /proc.
	if [ -L "$root/$folder" ]; then
		rm "$root/$folder" && mkdir "$root/$folder"
	fi
	mount --bind "/$folder" "$root/$folder"
done
if [ "$architecture" = arm64 ] && [ -n "$emulated" ]; then show_processor; fi

mkdir -p "$clone"
git archive HEAD | tar -x -C "$clone"
how='`make install`' command=(.venv/bin/mmgcvit)
if [ -n "$emulated" ]; then
	how='`locks/`, by uv' command=($python -m mmgcvit) # uv writes commands for this machine
	install_from_outside
elif [ "$packages" = pins ]; then
	install_pins
else
	how=newest
	install_newest
fi
versions=$(inside $python -c "
import platform
from importlib.metadata import version
import cv2
names = [platform.python_version(), version('torch'), version('numpy'), cv2.__version__]
print(' | '.join(names))")
processor=$(inside $python -c 'import platform; print(platform.machine().replace("_", "-"))')

rm -rf "$clone/predictions"
inside "${command[@]}" predict configs/demo/mask_rcnn_gcvit_objects.py docs/images/coins.jpg
found=$(inside $python -c "
import json
from pathlib import Path
print(len(json.loads(Path('predictions/predictions.json').read_text())))")
tested='not run'
if [ $# -gt 0 ]; then
	# tee to /dev/stderr would empty the file that this script's output is sent to.
	inside $python -m pytest -q -p no:cacheprovider "$@" | tee "$root.tests" >&2 || true
	tested=$(tail -n 1 "$root.tests")
fi
echo "| $distribution $suite | $processor${emulated:+, emulated} | $how | $versions | yes | $found coins | $tested |"
