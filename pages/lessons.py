"""What should I understand first? A guided tour: predict, see what happens, read why, try it."""

from pages.ui import frame
from pages.ui.lessons import tour

tour.draw(frame.page(__file__))
