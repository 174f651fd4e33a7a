"""Triton's kernels run under its interpreter here, on the CPU; triton decides when it is first imported."""

import os

os.environ.setdefault("TRITON_INTERPRET", "1")
