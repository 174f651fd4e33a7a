"""Quantized checkpoints as other projects store them: how they are decoded, and how ours are written so that those projects read them."""

from fp8core.packed.beside import model_type
from fp8core.packed.families import FAMILIES, family
from fp8core.packed.layouts import LAYOUTS
from fp8core.packed.reading import PackedInfo, PackedLayer, decoded, packed_layers
from fp8core.packed.writing import Written, verify, write_quantized

__all__ = ["FAMILIES", "LAYOUTS", "PackedInfo", "PackedLayer", "Written", "decoded", "family", "model_type", "packed_layers", "verify", "write_quantized"]
