"""`burnish init` names a base so that the project finds it wherever it is moved."""

from burnish.fakes import tiny_folder
from burnish.loop.project import open_project
from tests.cli.calls import burnish


def test_a_base_in_the_project_is_named_from_there_and_any_other_by_its_full_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_folder(tmp_path / "desk" / "models" / "own")
    tiny_folder(tmp_path / "elsewhere")
    assert burnish("init", "desk", "--base", "desk/models/own").code == 0
    assert open_project(tmp_path / "desk").settings.base == "models/own"
    assert burnish("init", "other", "--base", "elsewhere").code == 0
    assert open_project(tmp_path / "other").settings.base == str(tmp_path / "elsewhere")
