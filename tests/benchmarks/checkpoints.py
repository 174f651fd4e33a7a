"""What the analysis of a large checkpoint costs: memory, and time beside a plain reading with an error report of the same bytes.

    python tests/benchmarks/checkpoints.py [--gb 4] [--recipe mxfp8_e4m3] [--folder FOLDER]

A sharded checkpoint of bfloat16 is made, as large language models have them, an embedding of a quarter of all bytes among its matrices. Then, each in a process of its own:

- analyze: `python -m fp8core analyze`, with a CSV file.
- plain: every tensor read whole by the package safetensors, quantized and measured, without statistics of the numbers.

Memory is the peak resident size of the process, as the operating system says. Both read what is in the system's cache, where it fits.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the Makefile
ROOT = Path(__file__).resolve().parents[2]

_PLAIN = """
import sys
from pathlib import Path
from safetensors import safe_open
import fp8core as fp8
for path in sorted(Path(sys.argv[1]).glob("*.safetensors")):
    with safe_open(path, "pt") as shard:
        for name in shard.keys():
            x = shard.get_tensor(name)
            if x.ndim > 1:
                x = x.float()
                fp8.measure(x, fp8.quantize(x, sys.argv[2]))
"""


def make(folder: Path, nbytes: int) -> None:
    """Write shards of about 1 GB: an embedding, and layers of a transformer."""
    import torch
    from safetensors.torch import save_file

    width = 4096
    pool = torch.randn(1 << 24).to(torch.bfloat16)  # the same numbers again and again, so that making them takes little time

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return pool.repeat(-(-rows * columns // pool.numel()))[: rows * columns].reshape(rows, columns)

    save_file({"model.embed_tokens.weight": matrix(nbytes // 4 // (2 * width), width)}, folder / "model-00000.safetensors")
    left, layer = nbytes - nbytes // 4, 0
    while left > 0:
        tensors = {}
        for _ in range(3):
            tensors |= {f"model.layers.{layer}.mlp.up_proj.weight": matrix(11008, width), f"model.layers.{layer}.mlp.down_proj.weight": matrix(width, 11008), f"model.layers.{layer}.self_attn.q_proj.weight": matrix(width, width), f"model.layers.{layer}.norm.weight": pool[:width].clone()}
            layer += 1
        left -= sum(x.numel() * 2 for x in tensors.values())
        save_file(tensors, folder / f"model-{layer:05}.safetensors")


def run(command: list[str]) -> tuple[float, float]:
    """Run a command -> seconds, and GiB that it had in memory at most."""
    started = time.perf_counter()
    program = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", program, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - started, int(done.stdout) * unit / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=4.0)
    parser.add_argument("--recipe", default="mxfp8_e4m3")
    parser.add_argument("--folder", type=Path, help="where to make it; a temporary one unless given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        make(folder, int(options.gb * 1e9))
        nbytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        subprocess.run([sys.executable, "-m", "fp8core", "compile"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        commands = {
            "plain": [sys.executable, "-c", _PLAIN, place, options.recipe],
            "analyze": [sys.executable, "-m", "fp8core", "analyze", place, "--recipes", options.recipe, "--csv", str(folder / "rows.csv")],
        }  # fmt: skip
        idle = run([sys.executable, "-c", "import fp8core; fp8core.measure([1.0], fp8core.quantize([1.0], 'mxfp8_e4m3'))"])
        print(f"{nbytes / 1e9:.2f} GB in {len(list(folder.glob('*.safetensors')))} shards, recipe {options.recipe}, {os.cpu_count()} processors; importing alone takes {idle[0]:.1f} s and {idle[1]:.2f} GiB")
        seconds = {}
        for name, command in commands.items():
            run(command)  # once for the system's cache
            seconds[name], peak = run(command)
            print(f"{name:8} {seconds[name]:6.1f} s  {nbytes / 1e9 / seconds[name]:5.2f} GB/s  {peak:5.2f} GiB at most")
        print(f"analyze has {seconds['plain'] / seconds['analyze']:.0%} of the throughput of plain")


if __name__ == "__main__":
    main()
