"""What the scaling page can show of a tensor: one module per topic, each with `draw(view, chosen, recipe)`."""

from pages.ui.topics import calibration, delayed, directions, grid, nvfp4, rules

TOPICS = {
    "grid": grid,
    "rules": rules,
    "calibration": calibration,
    "delayed": delayed,
    "nvfp4": nvfp4,
    "directions": directions,
}
