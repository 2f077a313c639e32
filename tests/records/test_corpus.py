"""Leaves that a released format has written are read for ever, byte for byte."""

from pathlib import Path

import pytest
from tests.records.makers import KINDS

from carnet.model.errors import Malformed
from carnet.model.leaf import FORMAT, canonical, read

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("format-*/*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_leaf_of_the_corpus_reads_and_is_written_again_byte_for_byte(file):
    leaf = read(file.read_bytes())
    assert canonical(leaf) == file.read_bytes()
    assert leaf.__struct_config__.tag == file.stem.partition("-")[0]
    assert f"format-{leaf.format}" == file.parent.name


def test_the_corpus_has_every_kind_of_the_format_that_is_written_now():
    there = {file.stem.partition("-")[0] for file in FILES if file.parent.name == f"format-{FORMAT}"}
    assert there == set(KINDS)


def test_every_format_up_to_the_present_one_has_its_corpus():
    assert {file.parent.name for file in FILES} == {f"format-{number}" for number in range(1, FORMAT + 1)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_leaf_of_the_corpus_with_a_field_left_out_or_added_is_malformed(file):
    data = file.read_bytes()
    for wrong in (b'{"aaa":1,' + data[1:], data.replace(b'"boot":12345678901,', b"", 1)):
        assert wrong != data
        with pytest.raises(Malformed):
            read(wrong)
