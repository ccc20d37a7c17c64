"""Configuration files mean what they say, or are refused with their line."""

import json
import time

import pytest
import yaml

from patchprobe.config.reading import from_command_line, read_file, read_text, whole_numbers
from patchprobe.config.validation import load_schema, validate
from patchprobe.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1e3", 1000.0),
        ("-2E+4", -2e4),
        (".5e1", 5.0),
        ("1.0e-3", 1e-3),
        ("10", 10),
        ("'1e-5'", "1e-5"),
        ("1e", "1e"),
        ("e3", "e3"),
        ("0x1e3", 0x1E3),
        ("~", None),
        ("yes", True),
        ("0", 0),
        ("0.5", 0.5),
    ],
)
def test_values_are_those_of_yaml_1_2_where_1_1_takes_numbers_for_text(text, value):
    found = read_text(f"a: [{text}]\nb: {{c: {text}}}\n", "x.yaml")
    assert found == {"a": [value], "b": {"c": value}} and type(found["a"][0]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml, lines 1 and 3: the key a is given twice"),
        ("m:\n  v: {p: 1}\n  w: 2\n  v: 3\n", "x.yaml, lines 2 and 4: the key v is given twice"),
        ("m: [{p: 1, 'p': 2}]\n", "x.yaml, lines 1 and 1: the key p is given twice"),
        ("m:\n  no: 1\n", "x.yaml, line 2: the name no is read as bool, not as text: put it in quotes, 'no'"),
        ("m: {on: 1}\n", "the name on is read as bool"),
        ("m: {16: 1}\n", "the name 16 is read as int"),
        ("m: {1e3: 1}\n", "the name 1e3 is read as float"),
        ("m: {null: 1}\n", "the name null is read as null"),
        ("m: {2020-01-01: 1}\n", "the name 2020-01-01 is read as timestamp"),
        ("? [a, b]\n: 1\n", "line 1: a key has to be a text"),
        ("seed: 010\n", "x.yaml, line 1: 010 is read as 8"),
        ("a: [1:30]\n", "line 1: 1:30 is read as 90"),
        ("a: {b: [\n", "x.yaml, line 2, column 1: this is not YAML"),
        ("a: 1\n\tb: 2\n", "x.yaml, line 2, column 1: this is not YAML"),
        ("a: *b\n", "x.yaml, line 1, column 4: this is not YAML (found undefined alias"),
        (
            "a: !!python/object:os.system {}\n",
            "x.yaml, line 1, column 4: this is not YAML (could not determine a constructor",
        ),
        ("a: 'x\x07'\n", "x.yaml"),
        ("base: &b {p: 1}\nm: {<<: *b, <<: *b}\n", "the key << is given twice"),
        ("seed: !!int '010'\n", "line 1: 010 is read as 8"),
        ("a: 2024-02-30\n", "x.yaml holds a value that is not of its type"),
        ("a: 0x_\n", "x.yaml holds a value that is not of its type"),
        ("a: !!int abc\n", "x.yaml holds a value that is not of its type"),
        (f"a: {'9' * 5000}\n", "x.yaml holds a value that is not of its type"),
        (f"a: {'[' * 100_000}", "x.yaml: its keys lie too deep in each other"),
        (f"a: {'{b: ' * 200}", "x.yaml: its keys lie too deep in each other"),
        ("a: &a [*a]\n", "its aliases stand for more parts"),
    ],
)
def test_what_would_be_read_otherwise_than_it_is_written_is_refused_with_its_line(text, message):
    with pytest.raises(ConfigError) as error:
        read_text(text, "x.yaml")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_anchors_and_merged_keys_are_no_keys_given_twice():
    text = "base: &base {p: 1, q: 2}\nm:\n  a: {<<: *base, q: 3}\n  b: *base\n"
    assert read_text(text, "x")["m"] == {"a": {"p": 1, "q": 3}, "b": {"p": 1, "q": 2}}


@pytest.mark.parametrize("levels", [6, 9, 30])
def test_aliases_that_stand_for_millions_are_refused_at_once(levels):
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    began = time.process_time()
    with pytest.raises(ConfigError, match="its aliases stand for more parts than a configuration can have"):
        read_text("\n".join(lines), "x")
    assert time.process_time() - began < 5


def test_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no configuration .*/a\.yaml: correct the name"):
        read_file(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match=r"b\.yaml cannot be read .*utf-8"):
        read_file(tmp_path / "b.yaml")
    for text in ("", "- a\n", "text"):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"c\.yaml has no keys at its top level"):
            read_file(tmp_path / "c.yaml")
    (tmp_path / "d.json").write_text('{"a": 1e-5, "b": "no"}')
    assert read_file(tmp_path / "d.json") == {"a": 1e-5, "b": "no"}


def test_the_projects_own_files_are_read_as_before(repository):
    files = [*(repository / "config").glob("*.yaml"), *(repository / "profiles").rglob("*.yaml")]
    assert len(files) > 4
    for path in files:
        assert read_text(path.read_text(), str(path)) == yaml.safe_load(path.read_text())


@pytest.mark.parametrize("text", ["false", "no", "16", "1e3", "1e-5", "0.5", "null", "~", ".inf", "nan"])
def test_nested_values_of_the_command_line_that_lost_their_type_are_refused(text):
    with pytest.raises(ConfigError, match=r"key models\.a\.arguments\.x: --config passes"):
        from_command_line({"models": {"a": {"arguments": {"x": text}}}})
    with pytest.raises(ConfigError, match=r"key full_images\.models\.1"):
        from_command_line({"full_images": {"models": ["a", text]}})
    assert from_command_line({"device": "cpu", "seed": 1, "m": {"a": "b c"}}) == {
        "device": "cpu",
        "seed": 1,
        "m": {"a": "b c"},
    }


@pytest.fixture(scope="module")
def filled(repository):
    schema = load_schema(repository / "config/schema/config.schema.yaml")
    split = {"train": {"source": "train"}, "evaluation": {"source": "val"}}
    streets = {"adapter": "synthetic", "splits": split, "tiling": {"size": 32}}

    def validated(**more):
        return validate({"datasets": {"streets": streets}, "models": {"a": {"source": "pixels"}}} | more, schema)

    return validated


def test_whole_floats_are_the_integers_that_they_are(filled):
    linear = {"patch_classification": {"linear": {"steps": 1e3, "weight_decays": [0.0, 0.5]}}}
    found = filled(**linear, seed=2.0, corruptions={"noise": {"levels": [10.0, 2.5]}})
    same = filled(
        patch_classification={"linear": {"steps": 1000, "weight_decays": [0, 0.5]}},
        seed=2,
        corruptions={"noise": {"levels": [10, 2.5]}},
    )
    assert repr(found) == repr(same)
    assert repr(whole_numbers([1.0, 2.5, 1e300, True, "1.0"])) == "[1, 2.5, 1e+300, True, '1.0']"


def test_a_default_that_is_written_out_is_the_default(filled):
    plain = filled()
    written = filled(**{key: plain[key] for key in ("patch_classification", "removal_sweep", "seed")})
    assert json.dumps(written, sort_keys=True) == json.dumps(plain, sort_keys=True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seed": 2.5}, "key seed: 2.5 is not of type 'integer'"),
        ({"seed": "3"}, "--config passes nested numbers on as text, and quotes make text of them"),
        (
            {"full_images": {"models": [False]}},
            r"key full_images\.models\.0: False is not of type 'string' \(YAML reads it so",
        ),
        ({"corruptions": {"rotate": {"levels": [1000]}}}, "1000 is greater than the maximum of 360"),
        ({"corruptions": {"noise": {"levels": [2000]}}}, "2000 is greater than the maximum of 255"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(filled, more, message):
    with pytest.raises(ConfigError, match=message):
        filled(**more)


def test_words_of_the_command_line_are_those_of_a_file():
    words = {"fork_jobs": "false", "object_storage": "null", "a": "true", "device": "cpu", "b": True, "c": "Null "}
    assert from_command_line(words) == {
        "fork_jobs": False,
        "object_storage": None,
        "a": True,
        "device": "cpu",
        "b": True,
        "c": "Null ",
    }
