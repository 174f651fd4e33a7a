"""The arrow keys of the guided tour, and predictions that outlive a visit to another page."""

import pytest

from pages.ui.lessons import LESSONS, texts
from pages.ui.view import View

pytestmark = pytest.mark.browser


def test_arrow_keys_lead_through_the_lessons_and_predictions_survive(server, visit):
    first, second = (texts.read(lesson, "en") for lesson in list(LESSONS)[:2])
    visitor = visit(f"{server}/lessons")
    page = visitor.page

    def arrive(lesson: str, step: str) -> None:
        visitor.wait_for_query(View(lesson=lesson, lesson_step=step).to_query())
        visitor.settle("Lessons")

    page.get_by_text(first.choices[2], exact=True).click()
    page.locator("button", has_text="radio_button_checked").filter(has_text=first.choices[2]).wait_for()
    visitor.settle("Lessons")
    page.keyboard.press("ArrowRight")
    arrive("eight_bits", "reveal")
    page.get_by_text("And so it is.").wait_for()
    page.keyboard.press("ArrowRight")
    arrive("e4m3_e5m2", "predict")
    page.get_by_role("heading", name=second.title).wait_for()

    page.get_by_role("combobox").first.focus()  # the list of lessons, where one can type
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    page.get_by_role("heading", name=second.title).click()
    page.keyboard.press("ArrowLeft")
    arrive("eight_bits", "reveal")

    page.get_by_test_id("stSidebar").get_by_role("link", name="Formats", exact=True).click()
    visitor.settle("Formats")
    page.get_by_test_id("stSidebar").get_by_role("link", name="Lessons", exact=True).click()
    visitor.settle("Lessons")
    page.get_by_text("And so it is.").wait_for()
    page.keyboard.press("ArrowLeft")
    arrive("eight_bits", "predict")
    page.locator("button", has_text="radio_button_checked").filter(has_text=first.choices[2]).wait_for()
