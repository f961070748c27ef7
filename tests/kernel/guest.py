"""A machine with a real kernel and a real USB serial driver, emulated: the agent's last stretch to the wire.

QEMU's ``usb-serial`` is an FTDI adapter to the guest: Debian's kernel finds it on a USB bus and drives it with
``ftdi_sio``. Its other end is a TCP connection; when that closes the adapter is unplugged, when it opens again a
new one is plugged in. The guest sees this machine's files read-only and runs this very checkout and its Python.
It says nothing about speed: neither baud rate nor latency timer is emulated.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KERNEL: Final = Path(os.environ.get("POSDECOM_KERNEL", Path.home() / ".cache" / "posdecom-kernel")) / "tree"
PROGRAMS: Final = ("qemu-system-x86_64", "busybox", "modprobe", "depmod", "cpio")
MODULES: Final = (
    "virtio_pci",
    "virtio_net",
    "9pnet_virtio",
    "9p",
    "overlay",
    "xhci_pci",
    "usbserial",
    "ftdi_sio",
)
GATEWAY: Final = "10.0.2.2"
"""This machine's loopback address, as the guest's emulated network shows it."""

MEMORY_MIB: Final = 768
LIMIT_S: Final = 420

_INIT: Final = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module; done
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,ro host /host
mount -t tmpfs over /over; mkdir /over/upper /over/work
mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work overlay /new
for place in dev proc sys; do mount --bind /$place /new/$place; done
mkdir -p /new/run/guest; mount -t tmpfs guest /new/run/guest
mkdir -p /new/run/out; mount -t 9p -o trans=virtio,version=9p2000.L,access=any out /new/run/out
ifconfig lo up; ifconfig eth0 10.0.2.15 up; route add default gw 10.0.2.2
chroot /new /bin/sh /run/out/script > /new/run/out/stdout 2> /new/run/out/stderr < /dev/null
echo $? > /new/run/out/code
dmesg > /new/run/out/dmesg
sync
poweroff -f
"""


def what_is_missing() -> str | None:
    """Why no guest can be started here; None where one can."""
    if platform.machine() != "x86_64":
        return "the guest is an x86-64 machine"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(absent)} (tests/kernel/fetch.sh gets them)"
    if not list(KERNEL.glob("boot/vmlinuz-*")):
        return f"no kernel below {KERNEL} (tests/kernel/fetch.sh gets one)"
    return None


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    stdout: str
    stderr: str
    dmesg: str


def run_in_guest(folder: Path, script: str, *, adapter_port: int, adapter_serial: str) -> Ran:
    """Boot, run ``script`` by the guest's shell, power off.

    ``folder`` is ``/run/out`` there, the only place that outlives it. The adapter connects to ``adapter_port`` on
    this machine and reconnects each second while nothing listens.
    """
    (folder / "script").write_text(script)
    (folder / "console").touch()
    command = _qemu(folder, _initramfs(folder), adapter_port, adapter_serial)
    with (folder / "console").open("wb") as console:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=console, timeout=LIMIT_S)
    if not (folder / "code").exists():
        raise AssertionError(f"the guest died: {(folder / 'console').read_text(errors='replace')[-2000:]}")
    stdout, stderr, dmesg = ((folder / name).read_text() for name in ("stdout", "stderr", "dmesg"))
    return Ran(int((folder / "code").read_text()), stdout, stderr, dmesg)


def _qemu(folder: Path, initramfs: Path, adapter_port: int, adapter_serial: str) -> list[str]:
    shared = "local,multidevs=remap,security_model=none"
    return [
        "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1",
        "-m", str(MEMORY_MIB), "-display", "none", "-vga", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", str(next(KERNEL.glob("boot/vmlinuz-*"))), "-initrd", str(initramfs),
        "-append", "console=ttyS0 quiet panic=1",
        "-nic", "user,model=virtio-net-pci",
        "-virtfs", f"{shared},path=/,mount_tag=host,readonly=on",
        "-virtfs", f"{shared},path={folder},mount_tag=out",
        "-device", "qemu-xhci,id=usb,p2=15",
        "-chardev", f"socket,id=wire,host=127.0.0.1,port={adapter_port},server=off,reconnect=1,nodelay=on",
        "-device", f"usb-serial,bus=usb.0,chardev=wire,serial={adapter_serial}",
    ]  # fmt: skip


def _initramfs(folder: Path) -> Path:
    root = folder / "root"
    for name in ("bin", "proc", "sys", "dev", "host", "over", "new", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
    (root / "init").write_text(_INIT)
    (root / "init").chmod(0o755)
    for number, module in enumerate(_modules()):
        shutil.copy(module, root / "modules" / f"{number:02}-{module.name}")
    packed = folder / "initramfs"
    with packed.open("wb") as archive:
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"],
            cwd=root,
            input=names.encode(),
            stdout=archive,
            check=True,
        )
    return packed


def _modules() -> list[Path]:
    """The files of `MODULES` and all that they need, each once, in the order in which they load."""
    version = next(KERNEL.glob("boot/vmlinuz-*")).name.removeprefix("vmlinuz-")
    subprocess.run(["depmod", "-b", KERNEL, version], check=True)
    found: dict[Path, None] = {}
    for name in MODULES:
        shown = subprocess.run(
            ["modprobe", "-d", KERNEL, "-S", version, "--show-depends", name],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        lines = (line.split() for line in shown.stdout.splitlines())
        found.update((Path(words[1]), None) for words in lines if words[0] == "insmod")
    return list(found)
