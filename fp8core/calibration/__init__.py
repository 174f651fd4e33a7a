"""Where amax comes from when it is not the tensor's own: from data seen before (static), from the steps before (delayed).

What comes out enters `quantize(x, recipe, amax=…)`. `smooth` moves outliers from activations into weights before that.
"""

from fp8core.calibration.delayed import ALGORITHMS, DelayedScaling, DelayedState, DelayedStep, simulate
from fp8core.calibration.scenarios import SCENARIOS, Scenario, make_steps
from fp8core.calibration.smoothing import Smoothing, smooth
from fp8core.calibration.static import CALIBRATIONS, Calibration, Method, Observed, Settings, calibrate, observe

__all__ = [
    "ALGORITHMS", "CALIBRATIONS", "SCENARIOS", "Calibration", "DelayedScaling", "DelayedState", "DelayedStep", "Method", "Observed", "Scenario", "Settings", "Smoothing",
    "calibrate", "make_steps", "observe", "simulate", "smooth",
]  # fmt: skip
