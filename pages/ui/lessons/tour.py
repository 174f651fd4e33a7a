"""The guided tour on its page: one lesson at a time, the prediction first, then what happens; at the end a summary."""

from __future__ import annotations

import streamlit as st

from pages.ui import frame
from pages.ui.language import language, sentences, tr
from pages.ui.lessons import LESSONS, STEPS, SUMMARY, exhibits, texts
from pages.ui.view import View

PREDICT, REVEAL = STEPS
PAGE = "pages/lessons.py"
STOPS = (*((lesson, step) for lesson in LESSONS for step in STEPS), (SUMMARY, PREDICT))

_PREDICTIONS, _MENU = "lessons_predictions", "lessons_menu"


def draw(view: View) -> None:
    """Draw the lesson and the step that the view names."""
    _navigate(view)
    if view.lesson == SUMMARY:
        _summary()
        return
    text = texts.read(view.lesson, language())
    exhibit = _exhibit(view.lesson, language())
    frame.heading(text.title)
    if view.lesson_step == PREDICT:
        _predict(view.lesson, text, exhibit)
    else:
        _reveal(view, text, exhibit)


def predictions() -> dict[str, int]:
    """What this visitor predicted: for each lesson the place of the choice."""
    return st.session_state.setdefault(_PREDICTIONS, {})


def right_ones() -> list[str]:
    """The lessons whose prediction came true."""
    return [lesson for lesson, choice in predictions().items() if choice == LESSONS[lesson].right]


def _navigate(view: View) -> None:
    """Draw the way through the lessons; the arrow keys press the outer two buttons."""
    at = len(STOPS) - 1 if view.lesson == SUMMARY else STOPS.index((view.lesson, view.lesson_step))
    st.session_state[_MENU] = view.lesson
    left, middle, right = st.columns([1, 4, 1], vertical_alignment="center")
    left.button(tr("Previous"), key="lessons_previous", shortcut="Left", width="stretch", disabled=at == 0, on_click=_go, args=STOPS[max(at - 1, 0)])
    titles = {lesson: _title(lesson) for lesson in (*LESSONS, SUMMARY)}  # in the language of now: Streamlit asks again before a page has chosen one
    middle.selectbox(tr("Lesson"), titles, format_func=titles.get, key=_MENU, label_visibility="collapsed", on_change=_go_to_chosen)
    right.button(tr("Next"), key="lessons_next", shortcut="Right", width="stretch", disabled=at == len(STOPS) - 1, on_click=_go, args=STOPS[min(at + 1, len(STOPS) - 1)])
    st.progress(at / (len(STOPS) - 1), tr("Summary") if view.lesson == SUMMARY else tr("{number} of {all}").format(number=_number(view.lesson), all=len(LESSONS)))


def _predict(lesson: str, text: texts.Text, exhibit: exhibits.Exhibit) -> None:
    frame.say("#### " + text.question.format(**exhibit.numbers))
    predicted = predictions().get(lesson)
    st.markdown(tr("What do you predict?") if predicted is None else tr("You predict: **{choice}**").format(choice=text.choices[predicted]))  # a screen reader does not see the marks
    with st.container(key="lessons_choices", gap="xxsmall"):  # buttons, as a radio takes the arrow keys for itself
        for place, choice in enumerate(text.choices):
            mark = "checked" if predicted == place else "unchecked"
            st.button(choice, key=f"prediction_{place}", icon=f":material/radio_button_{mark}:", type="tertiary", on_click=_remember, args=(lesson, place))
    st.button(tr("Show what happens"), key="lessons_show", type="primary", on_click=_go, args=(lesson, REVEAL))


def _reveal(view: View, text: texts.Text, exhibit: exhibits.Exhibit) -> None:
    lesson = view.lesson
    frame.say(text.question.format(**exhibit.numbers))
    _judge(view, text)
    beside = exhibit.beside and len(exhibit.figures) == 1
    columns = st.columns([3, 2] if beside else len(exhibit.figures), gap="medium")
    for place, figure in enumerate(exhibit.figures):
        with columns[place]:
            frame.figure(figure, f"lesson_{lesson}_{place}", tr("**Figure {number}.** {caption}").format(number=place + 1, caption=text.captions[place].format(**exhibit.numbers)))
    with columns[-1] if beside else st.container():
        frame.say(text.reveal.format(**exhibit.numbers))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        frame.say(f"**{tr('Why?')}**\n\n{text.explain.format(**exhibit.numbers)}")
    with right:
        with st.container(border=True):
            st.markdown(f"**{tr('Try it')}**")
            frame.link(LESSONS[lesson].page, text.link, **LESSONS[lesson].settings, lesson=lesson, lesson_step=REVEAL)
            st.markdown(text.task.format(**exhibit.numbers))
        following = STOPS[STOPS.index((lesson, REVEAL)) + 1]
        st.button(_title(following[0]), key="lessons_on", icon=":material/arrow_forward:", width="stretch", on_click=_go, args=following)


def _judge(view: View, text: texts.Text) -> None:
    """Say what was predicted beside what is found; nobody is told off, and a hall that has raised its hands is not said to have predicted nothing."""
    found, predicted = LESSONS[view.lesson].right, predictions().get(view.lesson)
    if predicted is None:
        missing = "" if view.present == "1" else tr("You made no prediction; “Previous” brings you back to the question.")
        st.info(sentences(tr("**Found:** {found}.").format(found=text.choices[found]), missing), icon=":material/lightbulb:")
    elif predicted == found:
        st.success(tr("**You predicted:** {found}. And so it is.").format(found=text.choices[found]), icon=":material/check_circle:")
    else:
        st.info(tr("**You predicted:** {predicted}. **Found:** {found}. A surprise is what one remembers best.").format(predicted=text.choices[predicted], found=text.choices[found]), icon=":material/lightbulb:")


def _summary() -> None:
    made, came_true = predictions(), right_ones()
    frame.heading(tr("What you predicted, and what you found"))
    if made:
        waiting = tr("{left} lessons are still without a prediction.") if len(made) < len(LESSONS) else ""
        st.markdown(sentences(tr("{right} of {made} predictions came true."), waiting).format(right=len(came_true), made=len(made), left=len(LESSONS) - len(made)))
    else:
        st.markdown(tr("You have predicted nothing yet."))
    widths = [3, 2, 2]
    for column, heading in zip(st.columns(widths), (tr("Lesson"), tr("Predicted"), tr("Found")), strict=True):
        column.markdown(f"**{heading}**")
    for lesson, about in LESSONS.items():
        text = texts.read(lesson, language())
        first, second, third = st.columns(widths, vertical_alignment="center")
        with first:
            frame.link(PAGE, _title(lesson), lesson=lesson, lesson_step=REVEAL if lesson in made else PREDICT)
        mark = ":material/check_circle:" if lesson in came_true else ":material/lightbulb:"
        second.markdown(f"{mark} {text.choices[made[lesson]]}" if lesson in made else ":gray[–]")
        third.markdown(text.choices[about.right] if lesson in made else ":gray[–]")
    st.button(tr("Forget my predictions"), key="lessons_forget", icon=":material/restart_alt:", disabled=not made, on_click=_forget)


def _number(lesson: str) -> int:
    return list(LESSONS).index(lesson) + 1


def _title(lesson: str) -> str:
    return tr("Summary") if lesson == SUMMARY else f"{_number(lesson)}. {texts.read(lesson, language()).title}"


def _go(lesson: str, step: str) -> None:
    frame.change(lesson=lesson, lesson_step=step)


def _go_to_chosen() -> None:
    _go(st.session_state[_MENU], PREDICT)


def _remember(lesson: str, choice: int) -> None:
    predictions()[lesson] = choice


def _forget() -> None:
    predictions().clear()


@st.cache_data(max_entries=64, show_spinner=False)
def _exhibit(lesson: str, language: str) -> exhibits.Exhibit:
    return exhibits.show(lesson)
