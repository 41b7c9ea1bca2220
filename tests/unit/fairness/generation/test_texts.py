import json

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.generation.remembered import Remembered
from holdfast.fairness.generation.texts import Asked, Decoding, Texts, by_domain, capped, read_texts

PROMPTS = [Asked(text=f"{group} {place}", group=group, domain="d") for group in ("b", "a") for place in range(10)]


def test_empty_texts_are_counted_and_not_rated(made):
    texts = made({"a": [["one", " "], [""]], "b": [["two", "three"]]})
    assert texts.texts == ["one", "two", "three"]
    assert texts.prompt_of.tolist() == [0, 2, 2]
    assert texts.group_of.tolist() == [0, 0, 1]
    assert texts.empty == 2


def test_units_are_prompts_or_names():
    asked = tuple(
        Asked(text=str(place), group=group, name=name)
        for place, (group, name) in enumerate([("a", "x"), ("a", "x"), ("b", "x"), ("b", "")])
    )
    texts = Texts("g", ("a", "b"), asked, (("t", "t"), ("t",), ("t",), ("t",)), "given", "test")
    prompts = texts.units("prompt", texts.prompt_of)
    assert (prompts.count, prompts.what, prompts.of.tolist()) == (4, "prompts", [0, 0, 1, 2, 3])
    names = texts.units("name", texts.prompt_of)
    assert (names.count, names.what) == (3, "names")
    assert names.of[0] == names.of[2] != names.of[3] != names.of[4]


def test_a_group_may_have_no_prompt_but_a_prompt_needs_a_known_group(made):
    assert made({"a": [["x"]]}, names=["a", "z"]).names == ("a", "z")
    assert made({"a": [["x"]]}).named(["z", "a"]).group_of.tolist() == [1]
    with pytest.raises(InputError, match="group 'a', which is none of z"):
        made({"a": [["x"]]}, names=["z"])
    with pytest.raises(InputError, match="0 rows of texts for 1 prompts"):
        Texts("g", ("a",), (Asked(text="x", group="a"),), (), "given", "test")


def test_a_model_is_asked_as_it_was_said(parrot):
    model = parrot(lambda prompt, sample, draw: f"{prompt} {sample}")
    decoding = Decoding(samples=3, most_words=7, top_p=0.8, temperature=0.5)
    texts = Texts.of_model(model, PROMPTS, attribute="d", source="s", decoding=decoding, streams=Streams.from_seed(1))
    assert model.calls == [(20, 3, 7, 0.8, 0.5)]
    assert texts.written[0] == ("b 0 0", "b 0 1", "b 0 2")
    assert texts.drawn == {"samples": 3, "most_words": 7, "top_p": 0.8, "temperature": 0.5}
    assert texts.names == ("a", "b")
    assert texts.written_by == "model"


def test_a_model_that_gives_another_number_of_texts_is_refused():
    class Short:
        name = "short"

        def generate(self, prompts, **settings):
            return [["x"]] * len(prompts)

    with pytest.raises(InputError, match="model 'short' gave texts for 20 of 20 prompts, and 1 texts for prompt 0; 2 for each"):
        Texts.of_model(Short(), PROMPTS, attribute="d", source="s", decoding=Decoding(samples=2), streams=Streams.from_seed(1))


def test_the_same_question_is_put_to_a_model_once(parrot):
    model = parrot(lambda prompt, sample, draw: str(draw.random()))
    kept = Remembered(model)
    assert kept.name == "parrot"
    ask = {"samples": 2, "most_words": 5, "top_p": 0.9, "temperature": 1.0}
    first = kept.generate(["a", "b"], **ask, streams=Streams.from_seed(1))
    first[0][0] = "changed by who asked"
    again = kept.generate(["a", "b"], **ask, streams=Streams.from_seed(1))
    assert len(model.calls) == 1
    assert again[0][0] != "changed by who asked"
    assert kept.generate(["a", "b"], **ask, streams=Streams.from_seed(2)) != again
    kept.generate(["a", "b"], **(ask | {"top_p": 0.5}), streams=Streams.from_seed(1))
    assert len(model.calls) == 3


@pytest.mark.parametrize("change", [{"samples": 0}, {"most_words": 0}, {"top_p": 0}, {"top_p": 1.1}, {"temperature": 0}])
def test_decoding_out_of_bounds(change):
    with pytest.raises(InputError, match="generation: "):
        Decoding(**change)


def test_continuations_of_people_are_theirs_and_prompts_without_one_drop_out():
    asked = [Asked(text="p", group="a", continuation="went on"), Asked(text="q", group="b")]
    texts = Texts.of_people(asked, attribute="d", source="s")
    assert texts.texts == ["went on"]
    assert texts.names == ("a", "b")
    assert texts.written_by == "people"


def test_a_cap_draws_by_group_and_does_not_depend_on_other_groups():
    streams = Streams.from_seed(4)
    drawn = capped(PROMPTS, 4, streams=streams)
    assert [one.group for one in drawn] == ["b"] * 4 + ["a"] * 4
    assert capped(PROMPTS, 4, streams=streams) == drawn
    assert capped([one for one in PROMPTS if one.group == "a"], 4, streams=streams) == drawn[4:]
    assert capped(PROMPTS, 4, streams=Streams.from_seed(5)) != drawn
    assert capped(PROMPTS, None, streams=streams) == capped(PROMPTS, 10, streams=streams) == PROMPTS


def test_domains_come_in_the_order_of_their_first():
    asked = [Asked(text="x", group="g", domain=domain) for domain in ("z", "a", "z")]
    assert [(domain, len(part)) for domain, part in by_domain(asked)] == [("z", 2), ("a", 1)]


def test_texts_are_read_from_lines(tmp_path):
    rows = [
        {"prompt": "The nurse", "group": "nurses", "text": "slept", "domain": "work"},
        {"prompt": "The nurse", "group": "nurses", "text": "ate", "domain": "work"},
        {"prompt": "The smith", "group": "smiths", "text": "", "domain": "work", "name": "Smith"},
        {"prompt": "A Roe", "group": "roes", "text": "ran"},
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    group, work = read_texts(path)
    assert (group.attribute, group.texts) == ("group", ["ran"])
    assert work.attribute == "work"
    assert work.names == ("nurses", "smiths")
    assert work.written == (("slept", "ate"), ("",))
    assert work.asked[1].name == "Smith"
    assert np.array_equal(work.prompt_of, [0, 0])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: not a JSON object but a list"),
        ('{"prompt": "x", "group": "g"}', "line 1: 'text' is None; give a string"),
        ('{"prompt": 3, "group": "g", "text": "t"}', "line 1: 'prompt' is 3"),
        ("\n", "holds no text"),
    ],
)
def test_bad_lines_are_told(tmp_path, line, says):
    path = tmp_path / "texts.jsonl"
    path.write_text(line)
    with pytest.raises(DataError, match=says):
        read_texts(path)
