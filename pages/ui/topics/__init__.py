"""What the scaling page can show of a tensor: one module per topic, each with `draw(view, chosen, recipe)`."""

from pages.ui.topics import grid

TOPICS = {
    "grid": grid,
}
