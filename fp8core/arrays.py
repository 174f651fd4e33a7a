"""The border between numpy and torch: the kind of array that goes in comes out."""

from __future__ import annotations

import numpy as np
import torch

FLOAT_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def as_tensor(x) -> torch.Tensor:
    """Return `x` as a torch tensor of real floating point numbers, without copying where that is possible.

    Numbers, lists and integer arrays become float64. bfloat16 arrays of ml_dtypes become float32, which holds them exactly.

    Raises:
        TypeError: `x` holds something else than real numbers, or a torch dtype that is not one of
            float32, float64, bfloat16, float16.
    """
    if isinstance(x, torch.Tensor):
        if x.dtype in FLOAT_DTYPES:
            return x.detach()
        if not x.dtype.is_complex and not x.dtype.is_floating_point and x.dtype is not torch.bool:
            return x.detach().to(torch.float64)
        raise TypeError(f"dtype {x.dtype} cannot be read as numbers here: use float32, float64, bfloat16, float16 or an integer dtype")
    array = np.asarray(x)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind in "iu":
        array = array.astype(np.float64)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise TypeError(f"dtype {array.dtype} cannot be read as numbers here: use float32, float64, float16 or an integer dtype")
    return _wrap(array)


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """Return numbers of 16 bits as float32, which holds them exactly and whose loops are ready; others as they are."""
    return x.float() if x.dtype.itemsize == 2 else x


def total(x: torch.Tensor) -> float:
    """Sum the numbers of a tensor, with the same last bit whatever the number of threads: numpy adds in pairs, in one of them."""
    return float(x.reshape(-1).numpy().sum()) if x.device.type == "cpu" else float(x.sum())


def as_integers(codes) -> torch.Tensor:
    """Return codes as a torch tensor of integers, without copying where that is possible.

    Raises:
        TypeError: `codes` are not integers.
    """
    if isinstance(codes, torch.Tensor):
        if codes.dtype.is_floating_point or codes.dtype.is_complex or codes.dtype is torch.bool:
            raise TypeError(f"codes are integers, not {codes.dtype}")
        return codes
    array = np.asarray(codes)
    if array.size == 0 and not isinstance(codes, np.ndarray):
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        raise TypeError(f"codes are integers, not {array.dtype}")
    return _wrap(array)


def _wrap(array: np.ndarray) -> torch.Tensor:
    torch_cannot_share_it = not array.flags.writeable or not array.dtype.isnative or any(stride < 0 for stride in array.strides)
    if torch_cannot_share_it:
        array = array.astype(array.dtype.newbyteorder("="), order="C", copy=True)
    return torch.from_numpy(array)


def like(x, result: torch.Tensor):
    """Return `result` as the kind of array that `x` is: torch for torch, numpy for everything else."""
    return result if isinstance(x, torch.Tensor) else result.numpy()


def result_like(out, source: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return `out` as a tensor, or a new one in the shape of `source`.

    Raises:
        ValueError: `out` has another shape or dtype, or is not contiguous.
    """
    if out is None:
        return torch.empty(source.shape, dtype=dtype, device=source.device)
    result = out if isinstance(out, torch.Tensor) else torch.from_numpy(out)
    if result.shape != source.shape or result.dtype != dtype or not result.is_contiguous():
        raise ValueError(
            f"out has shape {tuple(result.shape)} and {result.dtype}, contiguous: {result.is_contiguous()}; "
            f"it must be contiguous with shape {tuple(source.shape)} and {dtype}"
        )
    return result


def as_matrix(x: torch.Tensor) -> torch.Tensor:
    """Return `x` as a matrix: leading axes flattened into rows, the last axis as columns; a vector is one row."""
    if x.ndim == 0:
        return x.reshape(1, 1)
    return x.reshape(x.shape[:-1].numel(), x.shape[-1])
