#!/bin/sh
# What `pytest -m kernel` needs: an emulator, a small userland, and Debian's own kernel (downloaded and unpacked, not installed).
set -eu
kernel=${POSDECOM_KERNEL:-$HOME/.cache/posdecom-kernel}
apt-get update -qq
apt-get install -y --no-install-recommends qemu-system-x86 busybox-static kmod cpio
mkdir -p "$kernel"
cd "$kernel"
package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
apt-get download "$package"
dpkg-deb -x "$package"_*.deb tree
rm "$package"_*.deb
echo "kernel in $kernel"
