"""Record what passes the layers of a model while it works, so that the dashboard and `analyze` can look at it: inputs, weights, outputs and gradients."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from fp8core.checkpoints import Checkpoint

MAX_NUMBERS = 1 << 18
ITSELF = "model"
PARTS = ("input", "weight", "output", "output_grad", "weight_grad")


@contextmanager
def capture(model: nn.Module, path: str | os.PathLike, layers: Iterable[str] | Callable[[str, nn.Module], bool] | None = None, *, max_numbers: int = MAX_NUMBERS) -> Iterator[None]:
    """Within this, note what the last call of each chosen layer sees; at the end, write it to a .safetensors file.

    The file holds, by layer, `input/NAME` and `output/NAME` (rows of both at the same places), `output_grad/NAME` where the body runs backward, and
    `weight/NAME` and `weight_grad/NAME` as they are at the end. Inputs, outputs and their gradients are seen as rows (…, C) -> (M, C); of many rows those at equal
    distances are kept. Nothing is changed in the model, and nothing is moved between devices before the end.

    Args:
        model: any module; it is called as always.
        path: where to; a file that is there is replaced. Nothing is written if the body raises.
        layers: names as in `model.named_modules()`, or what says of (name, module) whether it is wanted; None for every nn.Linear.
            Weights that are used without calling their module, as nn.MultiheadAttention does, are not seen, nor, unless you choose them, modules of other
            kinds, such as the stacked experts of transformers 5. The model itself is called "model".
        max_numbers: most numbers that are kept of an input or output.

    Of a layer with several tensors as inputs or outputs, the first is kept. A layer that was not called is named in a warning, unless you have named it yourself.

    Raises:
        ValueError: a name that the model does not have; no layer at all; a path that does not end in .safetensors, or whose folder does not exist; at the end,
            a layer that you have named and that was never called, or no layer that was.

    >>> import tempfile
    >>> from fp8core.checkpoints import open_checkpoint
    >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with capture(model, f"{folder}/step.safetensors"):
    ...         model(torch.ones(3, 8)).sum().backward()
    ...     {name: info.shape for name, info in open_checkpoint(f"{folder}/step.safetensors").infos.items() if name.endswith("/2")}
    {'input/2': (3, 4), 'output/2': (3, 2), 'output_grad/2': (3, 2), 'weight/2': (2, 4), 'weight_grad/2': (2, 4)}
    """
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"path {os.fspath(path)!r}: it has to end in .safetensors")
    if Path(path).is_dir():
        raise ValueError(f"path {os.fspath(path)!r}: this is a folder")
    if not Path(path).parent.is_dir():
        raise ValueError(f"path {os.fspath(path)!r}: there is no such folder as {os.fspath(Path(path).parent)!r}")
    named = layers is not None and not callable(layers)
    chosen = _chosen(model, layers)
    seen: dict[str, torch.Tensor] = {}
    handles = []
    try:
        for name, module in chosen.items():
            handles.append(module.register_forward_hook(_hook(name, seen, max_numbers), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
    idle = [name for name in chosen if f"input/{name}" not in seen]
    if idle and (named or len(idle) == len(chosen)):
        raise ValueError(f"layer {idle[0]!r} was not called with a tensor ({len(idle)} of {len(chosen)} were not): name the layers that are")
    if idle:
        warnings.warn(f"{len(idle)} of {len(chosen)} layers were not called and are not in {os.fspath(path)}: {', '.join(idle[:4])}{', …' * (len(idle) > 4)}", stacklevel=3)
    for name, module in chosen.items():
        if name in idle:
            continue
        if isinstance(weight := getattr(module, "weight", None), torch.Tensor):
            seen[f"weight/{name}"] = weight.detach()
            if weight.grad is not None:
                seen[f"weight_grad/{name}"] = weight.grad.detach()
    _write({part: seen[part] for kind in PARTS for part in seen if part.startswith(f"{kind}/")}, Path(path))


def captured(checkpoint: Checkpoint) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return inputs (M, K) and weights (N, K) by layer, float32, of a file that `capture` wrote, as `sensitivity.what_if` takes them; each is read when it is asked for.

    Layers without both are left out; of any other file nothing is left.
    """
    return _Captured(checkpoint)


class _Captured(Mapping):
    def __init__(self, checkpoint: Checkpoint):
        self._checkpoint, shapes = checkpoint, {name: info.shape for name, info in checkpoint.infos.items()}
        layers = (name.removeprefix("input/") for name in shapes if name.startswith("input/"))
        self._layers = [layer for layer in layers if _fits(shapes[f"input/{layer}"], shapes.get(f"weight/{layer}", ()))]

    def __getitem__(self, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self._layers:
            raise KeyError(layer)
        return tuple(self._checkpoint.read(f"{part}/{layer}").float() for part in ("input", "weight"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def _fits(inputs: tuple[int, ...], weights: tuple[int, ...]) -> bool:
    return len(inputs) == 2 == len(weights) and inputs[1] == weights[1]


def _chosen(model: nn.Module, layers) -> dict[str, nn.Module]:
    modules = dict(model.named_modules())
    if layers is None or callable(layers):
        wanted = layers or (lambda name, module: isinstance(module, nn.Linear))
        itself = ITSELF if ITSELF not in modules else f"{ITSELF} itself"
        found = {name or itself: module for name, module in modules.items() if wanted(name, module)}
    else:
        modules |= {} if ITSELF in modules else {ITSELF: model}
        names = [layers] if isinstance(layers, str) else list(layers)
        for name in names:
            if name not in modules:
                raise ValueError(f"layer {name!r} is not among the {len(modules) - 1} modules of {type(model).__name__}")
        found = {name: modules[name] for name in names}
    if not found:
        raise ValueError(f"{type(model).__name__} has no layer that was chosen")
    return found


def _hook(name: str, seen: dict[str, torch.Tensor], most: int):
    latest, waits = None, False

    def hook(module: nn.Module, arguments: tuple, named: dict, output) -> None:
        nonlocal latest, waits
        given, output = _tensor(arguments), _tensor(output)
        given = _tensor(_in_order(module, named)) if given is None else given
        if given is None or output is None or not given.numel():
            return
        in_backward = torch._C._current_graph_task_id() != -1
        if in_backward and waits:  # a checkpoint computes this call once more, and its gradient comes to the first one
            return
        latest = call = object()
        waits = waits if in_backward else output.requires_grad  # a reentrant checkpoint computes without gradients first, and then, within backward, all its calls
        x = _rows(given)
        kept = max(min(len(x), most // max(x.shape[1], _rows(output).shape[1], 1)), 1)
        places = torch.linspace(0, max(len(x) - 1, 0), kept, device=x.device, dtype=torch.float64).round().long() if kept < len(x) else None
        seen[f"input/{name}"] = _picked(x, places)
        seen[f"output/{name}"] = _picked(_rows(output), places)
        seen.pop(f"output_grad/{name}", None)

        def keep(gradient: torch.Tensor) -> None:
            if call is latest:  # backward comes to the calls in the opposite order
                seen[f"output_grad/{name}"] = _picked(_rows(gradient), places)

        if output.requires_grad:
            output.register_hook(keep)

    return hook


def _in_order(module: nn.Module, named: dict) -> list:
    """Arguments that were given by name, in the order in which the module takes them."""
    return [named[name] for name in (*inspect.signature(module.forward).parameters, *named) if name in named]


def _tensor(found) -> torch.Tensor | None:
    """The first tensor of what a module is given, or gives."""
    if isinstance(found, torch.Tensor):
        return found
    parts = found.values() if isinstance(found, Mapping) else found if isinstance(found, tuple | list) else ()
    return next((part for part in map(_tensor, parts) if part is not None), None)


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x.detach().reshape(-1, x.shape[-1]) if x.ndim else x.detach().reshape(1, 1)


def _picked(x: torch.Tensor, places: torch.Tensor | None) -> torch.Tensor:
    return x.clone() if places is None or len(x) <= int(places[-1]) else x[places]


def _write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    unfinished = path.with_suffix(".part")
    save_file({name: x.to("cpu", copy=True).contiguous() for name, x in tensors.items()}, unfinished, metadata={"made_by": "fp8core.capture"})
    os.replace(unfinished, path)
