"""A Slurm of one node on the loopback, with two devices that are none, for the time of a block."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"

_CONFIG = """ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=2
MinJobAge=600
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_DEVICES = "NodeName=localhost Name=gpu Type=fake File=/dev/null\n" + (
    "NodeName=localhost Name=gpu Type=fake File=/dev/zero\n"
)


def why_not() -> str | None:
    """Return why there can be no Slurm here, or None."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"Slurm is not installed: {', '.join(missing)} missing"
    return None if os.geteuid() == 0 else "Slurm's daemon of the node runs as root"


@contextlib.contextmanager
def slurm(folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Run a Slurm and give the environment of its clients."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    ports = [_free_port(), _free_port()]
    config = _CONFIG.format(folder=folder, ports=ports, user="root")
    (folder / "slurm.conf").write_text(config)
    (folder / "gres.conf").write_text(_DEVICES)
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    place = str(folder / "slurm.conf")
    tools = str(pathlib.Path(sys.executable).parent)
    environment = {**os.environ, "SLURM_CONF": place, "PATH": f"{tools}:{_PATH}"}
    daemons = [
        subprocess.Popen([_program("slurmctld"), "-D", "-f", place], stderr=subprocess.DEVNULL),
        subprocess.Popen(
            [_program("slurmd"), "-D", "-N", "localhost", "-f", place], stderr=subprocess.DEVNULL
        ),
    ]
    try:
        _await_node(environment)
        yield environment
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(20)


def _await_node(environment: dict[str, str]) -> None:
    ran = None
    for _ in range(100):
        ran = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True
        )
        if ran.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    raise RuntimeError(f"no idle node after 20 s: {ran}")


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found is not None
    return found


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
