"""params.yaml is read into dataclasses; every wrong key or value is named with its place and the mend."""

from dataclasses import dataclass

import pytest

from stages.core import params
from stages.core.errors import Refusal


@dataclass(frozen=True)
class Inner:
    width: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Outer:
    rate: float
    inner: Inner
    many: dict[str, Inner]


GOOD = {"rate": 1, "inner": {"width": 2, "names": ["a"]}, "many": {"x": {"width": 3, "names": []}}}


def test_a_right_section_becomes_its_dataclass():
    assert params.typed(Outer, GOOD, "here") == Outer(1.0, Inner(2, ("a",)), {"x": Inner(3, ())})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rat": 1}, "params.yaml: here has an unknown key 'rat'; did you mean 'rate'?"),
        ({"rate": "fast"}, "params.yaml: here.rate is 'fast', but: Input should be a valid number"),
        ({"inner": {"width": 2}}, "params.yaml: here.inner has no key 'names'"),
        (
            {"inner": {"width": 2, "names": [], "with": 1}},
            "here.inner has an unknown key 'with'; did you mean 'width'?",
        ),
        ({"many": {"x": {"width": 2, "names": [], "wdth": 1}}}, "here.many.x has an unknown key 'wdth'; did you mean"),
    ],
)
def test_a_wrong_key_is_named_with_its_place_and_the_nearest_one(change, sentence):
    with pytest.raises(Refusal) as refusal:
        params.typed(Outer, {**GOOD, **change}, "here")
    assert sentence in str(refusal.value)


def test_a_missing_key_is_named():
    with pytest.raises(Refusal, match="here has no key 'rate'"):
        params.typed(Outer, {"inner": GOOD["inner"], "many": {}}, "here")


def test_choosing_from_a_table_lists_the_names():
    with pytest.raises(Refusal, match=r"systems.x.kind is 'wgn'; did you mean 'wgan'.*choices: wgan, sgan"):
        params.choose({"wgan": 1, "sgan": 2}, "wgn", "systems.x.kind")


@pytest.mark.parametrize(("text", "sentence"), [("a: [", "not valid YAML"), ("", "is empty"), (None, "is missing")])
def test_a_broken_file_is_named(tmp_path, text, sentence):
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Refusal, match=sentence):
        params.load(path)
