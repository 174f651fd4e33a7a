"""Words in the cells of a table of colours, black or white by the colour below them. Plotly's own choice is a grey that is too pale on half of the colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.colors

_TURN = 0.179  # the luminance on which black and white stand out alike, 4.6 : 1


def written(cells: dict[str, Any], size: float = 13) -> list[dict]:
    """Return a heat map and the words in its cells.

    Args:
        cells: the heat map, with `text`; its `x` and `y` count from 0 where it has none.
    """
    z = np.asarray(cells["z"], dtype=float)
    x, y = cells.get("x", range(z.shape[-1])), cells.get("y", range(len(z)))
    low, high = cells.get("zmin"), cells.get("zmax")
    seen = z[np.isfinite(z)]
    low, high = (seen.min(initial=np.inf), seen.max(initial=-np.inf)) if low is None else (low, high)
    bright = _luminance(cells["colorscale"], (z - low) / (high - low if high > low else 1)) > _TURN
    words = [(str(word), across, up, "#000000" if light else "#FFFFFF") for line, up, lights in zip(cells["text"], y, bright, strict=True) for word, across, light in zip(line, x, lights, strict=True) if word]
    text, across, up, colour = zip(*words, strict=True) if words else ((), (), (), ())
    return [{"type": "heatmap"} | cells, {"type": "scatter", "mode": "text", "x": across, "y": up, "text": text, "textfont": {"color": colour, "size": size}, "hoverinfo": "skip", "showlegend": False}]


def _luminance(scale: str | list, share: np.ndarray) -> np.ndarray:
    """The relative luminance (WCAG 2) of the colours at these places of a scale; 0 for NaN."""
    stops = plotly.colors.get_colorscale(scale) if isinstance(scale, str) else scale
    channels = np.array([plotly.colors.hex_to_rgb(colour) if colour.startswith("#") else plotly.colors.unlabel_rgb(colour) for _, colour in stops]) / 255
    at = np.clip(np.nan_to_num(share), 0, 1)
    mixed = np.stack([np.interp(at, [stop for stop, _ in stops], channel) for channel in channels.T], -1)
    return np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
