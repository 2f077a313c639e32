"""Shelves from the package and from disk."""

import os

import pytest

from carnet.model.errors import InputError, RulesError
from carnet.store.shelves import LIMIT, law_version, load_rulebook, read_shelf, shipped

FRONT = '+++\nformat = 1\ntitle = "x"\n+++\n'


def test_the_shipped_shelf_is_read_from_the_package():
    assert "terms.toml" in shipped()
    assert any(name.startswith("us/directives/2026/") for name in shipped())
    assert all(name.endswith((".md", ".toml", ".csv")) for name in shipped())


def test_the_shipped_rulebook_is_made_once():
    assert load_rulebook() is load_rulebook()
    assert law_version()


def test_a_shelf_is_its_rule_files_by_posix_path(tmp_path):
    (tmp_path / "us/x").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config.toml").write_text("")
    (tmp_path / "us/x/a.md").write_text("a")
    (tmp_path / "us/x/b.csv").write_text("b")
    (tmp_path / "us/x/notes.txt").write_text("c")
    assert read_shelf(tmp_path) == {"us/x/a.md": b"a", "us/x/b.csv": b"b"}


def test_a_file_at_the_limit_is_read_and_one_byte_more_is_not(tmp_path):
    (tmp_path / "a.md").write_bytes(b"a" * LIMIT)
    assert len(read_shelf(tmp_path)["a.md"]) == LIMIT
    (tmp_path / "a.md").write_bytes(b"a" * (LIMIT + 1))
    with pytest.raises(InputError, match=r"a\.md:1: .*split it up"):
        read_shelf(tmp_path)


def test_an_operators_shelf_changes_the_digest_and_leaves_the_shipped_one_alone(tmp_path):
    before = load_rulebook().digest
    (tmp_path / "us").mkdir()
    (tmp_path / "us/x.md").write_text(
        FRONT
        + '```toml list\nid = "us.x"\ncite = "x"\nfrom = 2026-01-01\ntype = "id"\nmembers = ["a"]\n```\n'
    )
    assert load_rulebook(tmp_path).digest != before
    assert load_rulebook().digest == before


def test_a_problem_names_the_file_of_the_shelf_that_has_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "us").mkdir(parents=True)
    (tmp_path / "one/us/x.md").write_text(FRONT)
    (tmp_path / "two/us/y.md").write_text(FRONT + '```toml lsit\nid = "us.x"\n```\n')
    with pytest.raises(RulesError) as error:
        load_rulebook(tmp_path / "one", tmp_path / "two")
    assert [problem.file for problem in error.value.problems] == [f"{tmp_path.as_posix()}/two/us/y.md"]


def test_a_file_that_can_not_be_read_is_named(tmp_path):
    (tmp_path / "loop.md").symlink_to(tmp_path / "nowhere.md")
    with pytest.raises(InputError, match=r"loop\.md` can't be read"):
        read_shelf(tmp_path)


def test_a_link_back_to_a_directory_above_is_named(tmp_path):
    (tmp_path / "us").mkdir()
    (tmp_path / "us/x.md").write_text(FRONT)
    (tmp_path / "us/up").symlink_to(tmp_path)
    (tmp_path / "us/up2").symlink_to(tmp_path)
    with pytest.raises(
        InputError, match=r"us/up/` leads back to a directory that it lies in: remove the link"
    ):
        read_shelf(tmp_path)


def test_a_link_to_a_directory_elsewhere_is_followed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/x.md").write_text(FRONT)
    (tmp_path / "law").mkdir()
    (tmp_path / "law/us").symlink_to(tmp_path / "kept")
    assert list(read_shelf(tmp_path / "law")) == ["us/x.md"]


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.md")
    with pytest.raises(InputError, match=r"x\.md` is no file: a shelf has files and directories only"):
        read_shelf(tmp_path)


def test_a_rule_file_under_the_name_of_another_kind_is_not_passed_over(tmp_path):
    (tmp_path / "x.md").write_text(FRONT)
    (tmp_path / "letter.md.txt").write_text(FRONT)
    with pytest.raises(InputError, match=r"letter\.md\.txt` is not read: give it a name like `letter\.md`"):
        read_shelf(tmp_path)


def test_a_shelf_of_words_and_pages_only_holds_no_rules(tmp_path):
    (tmp_path / "terms.toml").write_text("format = 1\n")
    (tmp_path / "README.md").write_text("About it.\n")
    with pytest.raises(InputError, match="holds no rules"):
        read_shelf(tmp_path)


def test_a_directory_that_may_not_be_looked_at_is_named(tmp_path, monkeypatch):
    def refuse(self, *given, **more):
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "us").mkdir()
    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(InputError, match="can't be read: permission denied"):
        read_shelf(tmp_path)
    monkeypatch.setattr(type(tmp_path), "is_dir", refuse)
    with pytest.raises(InputError, match="can't be read: permission denied"):
        read_shelf(tmp_path)


def test_a_shelf_by_two_names_is_one_shelf(tmp_path):
    (tmp_path / "law/us").mkdir(parents=True)
    (tmp_path / "law/us/x.md").write_text(FRONT)
    (tmp_path / "same").symlink_to(tmp_path / "law")
    with pytest.raises(InputError, match=r"same` is given twice: name each shelf once"):
        load_rulebook(tmp_path / "law", tmp_path / "same")
