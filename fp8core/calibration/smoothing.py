"""SmoothQuant: loud channels of the activations are made quieter and the weights that meet them louder; the product stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fp8core.arrays import as_tensor, like


@dataclass(frozen=True, eq=False)
class Smoothing:
    """Two matrices that multiply to the same product and are easier to quantize.

    Args:
        scale: what each channel of the activations was divided by and of the weights multiplied with, float32 (K,).
        activations: float32 (M, K).
        weights: float32 (N, K).
    """

    scale: torch.Tensor | np.ndarray
    activations: torch.Tensor | np.ndarray
    weights: torch.Tensor | np.ndarray


def smooth(activations, weights, alpha: float = 0.5) -> Smoothing:
    """Divide channel j of the activations by s_j = max|X_j|^alpha / max|W_j|^(1 − alpha) and multiply that of the weights with it.

    X (M, K) and W (N, K), as a linear layer has them -> X / s and W · s, so that (X / s)(W · s)ᵀ = X Wᵀ but for rounding to float32.
    alpha 1 moves all of the difficulty into the weights, 0 all of it into the activations.

    A channel that is all zero on either side, or holds NaN or infinity, keeps s_j = 1; the library raises maxima and s to 1e-5 instead.
    s is held within 2^±60.

    Raises:
        ValueError: not two matrices with the same K; no row or no channel; alpha outside of 0 … 1.

    Source: SmoothQuant, arXiv 2211.10438, equation 4.

    >>> done = smooth([[100.0, 1.0]], [[0.25, 1.0]])
    >>> done.scale, done.activations, done.weights
    (array([20.,  1.], dtype=float32), array([[5., 1.]], dtype=float32), array([[5., 1.]], dtype=float32))
    """
    x, w = as_tensor(activations).to(torch.float32), as_tensor(weights).to(torch.float32)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1] or not x.numel() or not w.numel():
        raise ValueError(f"activations of shape {tuple(x.shape)} and weights of shape {tuple(w.shape)}: they are (M, K) and (N, K), with at least one of each")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha = {alpha!r} is not within 0 … 1")
    loud, heavy = (side.to(torch.float64).abs().amax(dim=0) for side in (x, w))
    wanted = (loud**alpha / heavy ** (1 - alpha)).clamp(2.0**-60, 2.0**60)
    usable = (loud > 0) & (heavy > 0) & loud.isfinite() & heavy.isfinite()
    scale = torch.where(usable, wanted, 1.0).to(torch.float32)
    return Smoothing(like(activations, scale), like(activations, x / scale), like(weights, w * scale))
