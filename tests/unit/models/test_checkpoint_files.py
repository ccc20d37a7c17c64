"""What files say by their first bytes, against files that Python's own libraries write, and names and addresses."""

import gzip
import json
import pickle
import struct
import tarfile

import numpy as np
import pytest
import safetensors.torch
import torch

from patchprobe.downloads.addresses import check_address
from patchprobe.errors import ConfigError
from patchprobe.models.checkpoints.files import (
    checkpoint_name,
    format_of,
    stranger,
)

PAGE = "<!DOCTYPE html><html>sorry</html>"


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_formats_of_weights_are_told_by_content(tmp_path, protocol):
    weights = {"w": torch.ones(3)}
    torch.save(weights, tmp_path / "zip", pickle_protocol=protocol)
    torch.save(weights, tmp_path / "legacy", pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(weights, tmp_path / "safetensors")
    for kind in ("zip", "legacy", "safetensors"):
        beginning = (tmp_path / kind).read_bytes()[:4096]
        assert format_of(beginning) == kind and stranger(beginning) is None


@pytest.mark.parametrize(
    "page",
    [
        b"\n " + PAGE.encode(),
        b"\xef\xbb\xbf" + PAGE.encode(),
        b"<!-- one\n two --><html>sorry</html>",
        b"<head><title>404</title></head>",
        PAGE.encode("utf-16"),
        b"\xfe\xff" + PAGE.encode("utf-16-be"),
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        b"<HTML><BODY>caf\xe9</BODY></HTML>",
    ],
)
def test_web_pages(page):
    assert stranger(page) == "a web page"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (gzip.compress(PAGE.encode(), mtime=0), "packed with gzip (a web page)"),
        (gzip.compress(bytes(range(256)), mtime=0), "packed with gzip (unpack it)"),
        (json.dumps({"error": "denied"}).encode(), 'JSON (\'{"error": "denied"}\')'),
        (b"404: Not Found", "text ('404: Not Found')"),
        (b"Entry not found", "text ('Entry not found')"),
        ("Zugriff verweigert: ü".encode(), "text ('Zugriff verweigert: ü')"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a git LFS pointer"),
        (b"(S'touch x'\nios\nsystem\n.", "a pickle of Python objects that torch.save did not write"),
        (bytes(2000), None),
        (np.random.default_rng(0).bytes(2000), None),
    ],
)
def test_other_files(content, what):
    assert format_of(content) is None and stranger(content) == what


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_any_protocol(protocol):
    assert stranger(pickle.dumps({"a": [1, 2]}, protocol)).startswith("a pickle of Python objects")


def test_tar_archive(tmp_path):
    with tarfile.open(tmp_path / "w.tar", "w") as archive:
        archive.add(__file__, "w.pth")
    assert stranger((tmp_path / "w.tar").read_bytes()[:4096]) == "a tar archive"


def test_text_cut_inside_a_character_is_text():
    assert stranger("ü".encode() * 2048 + b"\xc3").startswith("text (")


def test_header_of_safetensors_needs_its_length():
    assert format_of(struct.pack("<Q", 2**60) + b"{}") is None


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"checkpoint": "./sub/../w.pth"}, "w.pth"),
        ({"checkpoint": "a//b/w.pth"}, "a/b/w.pth"),
        ({"checkpoint": "package:w.pth"}, ""),
        ({"checkpoint": None}, ""),
        ({}, ""),
    ],
)
def test_one_file_has_one_name(entry, name):
    assert checkpoint_name(entry) == name


@pytest.mark.parametrize("url", ["https://host/w.pth", "http://h:8080/w?x=1", "file:///w.pth", "hf://a/b@c/d/w.pth"])
def test_addresses(url):
    check_address("models.m.url", url)


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999/w", "ftp://me:pass@host/w", "w.pth", "hf://w.pth"])
def test_what_is_no_address(url):
    with pytest.raises(ConfigError, match=r"models\.m\.url: .* is not an address") as error:
        check_address("models.m.url", url)
    assert "pass" not in str(error.value)
