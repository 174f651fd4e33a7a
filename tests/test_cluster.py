"""An analysis by several processes: the same rows bit for bit, also where one of them is killed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from distributed import Client
from safetensors.torch import save_file

from fp8core.__main__ import main
from fp8core.checkpoints import open_checkpoint
from fp8core.layers import analyze, to_rows
from fp8core.layers.cluster import analyze_on

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ["tensor_e4m3", "nvfp4", "te_nvfp4_sr"]
pytestmark = pytest.mark.filterwarnings("default")  # those of distributed are not ours


@pytest.fixture(autouse=True)
def loops_are_ready():
    """Pages tested before may have left a thread that makes the loops ready; until then this process goes by the definitions, whose last bits differ from the workers'."""
    for thread in threading.enumerate():
        if thread.name == "fp8core-warm":
            thread.join()


@pytest.fixture
def folder(tmp_path):
    """Twelve matrices in three shards, and a bias."""
    for shard in range(3):
        tensors = {f"layers.{4 * shard + n}.weight": torch.randn(256, 512, generator=torch.Generator().manual_seed(4 * shard + n)) for n in range(4)}
        save_file(tensors | {f"layers.{shard}.bias": torch.ones(8)}, tmp_path / f"model-{shard}.safetensors")
    return tmp_path


@pytest.fixture
def cluster(tmp_path_factory):
    """The address of a scheduler with two workers on loopback, each in a process of its own, started as people start them."""
    place = tmp_path_factory.mktemp("cluster")
    contact, running = place / "contact.json", []
    for role, options in (("scheduler", ["--port", "0", "--no-dashboard"]), ("worker", ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", str(place)])):
        command = [sys.executable, "-m", "dask", role, "--scheduler-file", str(contact), "--host", "127.0.0.1", *options]
        running.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        with Client(scheduler_file=str(contact), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)


def test_a_worker_that_is_killed_loses_nothing(folder, cluster):
    checkpoint = open_checkpoint(folder)
    names, alone = list(checkpoint.infos), to_rows(analyze(checkpoint, RECIPES))
    with Client(cluster) as client:
        rows, before = [], set(client.run(os.getpid).values())
        for done, layer in enumerate(analyze_on(client, folder, RECIPES, names)):
            rows += to_rows([layer])
            if done == 1:
                os.kill(min(before), signal.SIGKILL)
        client.wait_for_workers(2, timeout=60)
        assert set(client.run(os.getpid).values()) != before
    assert repr(rows) == repr(alone)


def test_the_command_gives_the_same_file_on_a_cluster(folder, cluster, tmp_path):
    for where, name in (([], "alone.csv"), (["--scheduler", cluster], "cluster.csv")):
        assert main(["analyze", str(folder), "--recipes", ",".join(RECIPES), "--csv", str(tmp_path / name), *where]) == 0
    assert (tmp_path / "alone.csv").read_bytes() == (tmp_path / "cluster.csv").read_bytes()


def test_workers_are_started_here(folder, tmp_path):
    command = [sys.executable, "-m", "fp8core", "analyze", str(folder), "--recipes", "mxfp4", "--workers", "2", "--csv", str(tmp_path / "two.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "12 tensors measured, 3 left as they are" in done.stdout
    assert main(["analyze", str(folder), "--recipes", "mxfp4", "--csv", str(tmp_path / "one.csv")]) == 0
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_bad_requests(folder, capsys):
    assert main(["analyze", str(folder), "--workers", "0"]) == 2
    assert "--workers 0 is not a number of processes" in capsys.readouterr().err
    assert main(["analyze", str(folder), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err


def test_workers_leave_the_interrupt_to_us():
    program = "import signal\nfrom fp8core.layers.cluster import cluster_client\nwith cluster_client(workers=1) as client:\n    print(*client.run(signal.getsignal, signal.SIGINT).values(), signal.getsignal(signal.SIGINT))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in ("1", "Handlers.SIG_IGN") and "default_int_handler" in done.stdout
