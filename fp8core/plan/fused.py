"""Which layers an inference engine multiplies as one, so that all of them need the same recipe."""

from __future__ import annotations

FUSED = (("q_proj", "k_proj", "v_proj"), ("query", "key", "value"), ("gate_proj", "up_proj"), ("w1", "w3"), ("q_a_proj", "kv_a_proj_with_mqa"))
"""Names of modules beside each other whose weights are stacked into one; all experts of a layer are one as well.

Source: vLLM, packed_modules_mapping of its models and should_ignore_layer of compressed-tensors: other plans are refused there.
"""


def group_of(layer: str) -> str:
    """Return the same text for all layers that engines fuse, from their names alone; the name itself where there is nothing to fuse.

    >>> group_of("layers.0.self_attn.q_proj.weight") == group_of("layers.0.self_attn.v_proj.weight") != group_of("layers.1.self_attn.v_proj.weight")
    True
    >>> group_of("layers.0.mlp.experts.3.w1.weight") == group_of("layers.0.mlp.experts.7.w2.weight")
    True
    """
    parts = layer.split(".")
    if "experts" in parts[:-1]:
        return ".".join(parts[: parts.index("experts") + 1])
    module = -2 if parts[-1] == "weight" and len(parts) > 1 else -1
    parts[module] = next(("+".join(modules) for modules in FUSED if parts[module] in modules), parts[module])
    return ".".join(parts)
