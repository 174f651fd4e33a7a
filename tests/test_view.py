"""View: every control has a URL form that comes back, and nothing in a link can do harm."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fp8core.formats import FORMATS
from fp8core.models import load_weights
from fp8core.recipes import RECIPES
from fp8core.samples import SAMPLES
from pages.ui.controls import Choice, Choices
from pages.ui.view import CONTROLS, View, heeded, sources


def legal_values(control):
    if isinstance(control, Choices):
        return st.lists(st.sampled_from(control.listed()), min_size=1, unique=True).map(tuple)
    if isinstance(control, Choice):
        return st.sampled_from(control.listed())
    return st.just(control.default)


views = st.builds(View, **{name: legal_values(control) for name, control in CONTROLS.items()})


@given(views)
def test_a_link_restores_the_view(view):
    assert View.from_query(view.to_query()) == (view, ())


@given(views)
def test_a_short_link_is_the_same_view(view):
    assert View.from_query(view.to_short_query()) == (view, ())
    assert View().to_short_query() == {"v": "1", "language": "en"}, "without it a browser that prefers another language would open it in that"


@given(st.dictionaries(st.sampled_from([*CONTROLS, "v", "utm_source"]), st.text()))
def test_junk_in_a_link_never_raises_and_never_enters_the_view(query):
    view, refused = View.from_query(query)
    for name, control in CONTROLS.items():
        assert control.checked(getattr(view, name)) == getattr(view, name)
    assert {each.key for each in refused} <= query.keys() & CONTROLS.keys()


@pytest.mark.parametrize("name", CONTROLS)
def test_the_default_of_every_control_is_allowed_and_named(name):
    control = CONTROLS[name]
    assert control.checked(control.default) == control.default == getattr(View(), name)
    assert control.label and control.group
    if isinstance(control, Choice):
        titles = [control.title(option) for option in control.listed()]
        assert len(set(titles)) == len(titles)


def test_every_field_is_in_every_link():
    assert View().to_query().keys() == {"v", *(f.name for f in dataclasses.fields(View))}


def test_what_was_refused_is_told():
    view, refused = View.from_query({"format": "e9m9", "seed": "3", "number": "one", "layer": "x" * 201, "unknown": "1"})
    assert view == View(seed=3)
    assert [(each.key, each.text, each.shown) for each in refused] == [("format", "e9m9", "e4m3fn"), ("number", "one", "0.1"), ("layer", "x" * 201, "")]
    assert "200" in refused[2].rule


def test_unknown_members_of_a_list_are_left_out_and_order_is_kept():
    view, refused = View.from_query({"formats": "e5m2,e9m9,e4m3fn,e8m8,e5m2"})
    assert view.formats == ("e5m2", "e4m3fn")
    assert [(each.key, each.text, each.shown) for each in refused] == [("formats", member, "") for member in ("e8m8", "e9m9")]  # left out, and nothing in its place
    assert View.from_query({"formats": "e5m2,,e4m3fn"})[1] == ()
    for text, rule in (("", "is empty, and at least one is needed"), ("nothing,here", "is not one of the choices")):
        view, (why,) = View.from_query({"formats": text})
        assert view == View() and why.rule == rule


@pytest.mark.parametrize("number", ["0.1", "-3e-5", "1/3", "2^-9", "inf", "-nan", "0x5E", "−1"])
def test_numbers_stay_as_they_were_typed(number):
    assert View.from_query(View(number=number).to_query())[0].number == number


@pytest.mark.parametrize(("field", "value", "message"), [
    ("format", "e9m9", r"format = 'e9m9' is not one of the choices"),
    ("formats", (), r"formats = \(\) is empty, and at least one is needed"),
    ("layer", "a\nb", r"layer = 'a\\nb' is not a line of at most 200 characters"),
    ("number", "one", r"number = 'one' is not a number that can be read"),
])  # fmt: skip
def test_a_view_with_a_bad_value_cannot_be_made(field, value, message):
    with pytest.raises(ValueError, match=message):
        View(**{field: value})


def test_choices_follow_the_registries():
    assert tuple(CONTROLS["format"].listed()) == (*FORMATS, "own")
    assert tuple(CONTROLS["recipes"].listed()) == tuple(RECIPES)
    assert sources()[: len(SAMPLES)] == tuple(SAMPLES)
    model, tensor = sources()[-1].split("/", 1)
    assert len(load_weights(model).infos[tensor].shape) >= 2


def test_caches_are_asked_with_what_the_tensor_heeds_and_no_more():
    usual = View(source="normal", seed=3, outlier=10)
    assert heeded(usual) == {"size": usual.size, "seed": 3, "outlier": 10, "tail": View().tail}
    assert heeded(dataclasses.replace(usual, tail=5)) == heeded(usual)
    assert heeded(dataclasses.replace(usual, source="student_t", tail=5))["tail"] == 5
    weight = next(source for source in sources() if source not in SAMPLES)
    assert heeded(dataclasses.replace(usual, source=weight, tail=5)) == heeded(View(source=weight))
