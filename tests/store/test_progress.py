"""What a running command tells in its file: whole, seldom, and gone when the work ends well."""

import json

import pytest

from burnish.store.lock import this_process
from burnish.store.progress import FILE, LEAST_S, Progress, ToldTalk, read_progress, time_left, told
from burnish.talk import Silence

STEPS = ("look", "train", "decide")


def test_a_reader_sees_the_step_and_the_bar_and_nothing_after_a_good_end(tmp_path):
    with told(tmp_path, Silence()) as talk:
        talk.step("train", STEPS)
        with talk.track("train", 40, "steps") as advance:
            now = read_progress(tmp_path)
            assert now.steps[now.at] == "train"
            assert (now.bar.name, now.bar.done, now.bar.total, now.bar.left_s) == ("train", 0, 40, None)
            talk.written_s -= LEAST_S  # as after half a second
            advance(10, "loss 1.25")
            assert (read_progress(tmp_path).bar.done, read_progress(tmp_path).bar.note) == (10, "loss 1.25")
        assert read_progress(tmp_path).bar is None
        assert now.is_of(this_process())
        assert not now.is_of(None)
    assert read_progress(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_bar_that_moves_fast_is_written_at_most_twice_a_second(tmp_path):
    with told(tmp_path, Silence()) as talk, talk.track("train", 10_000) as advance:
        before = (tmp_path / FILE).stat().st_ino, talk.written_s
        for _ in range(1_000):
            advance(1, "")
            if talk.written_s == before[1]:
                assert (tmp_path / FILE).stat().st_ino == before[0]
            else:
                assert talk.written_s - before[1] >= LEAST_S
                before = (tmp_path / FILE).stat().st_ino, talk.written_s


def test_an_error_leaves_the_place_where_it_came(tmp_path):
    def work():
        with told(tmp_path, Silence()) as talk:
            talk.step("decide", STEPS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert read_progress(tmp_path).at == 2


def test_what_a_killed_run_had_done_does_not_count_as_pace(tmp_path):
    assert time_left(0, 60, 1.0) is None
    assert time_left(30, 60, 10.0) == 20.0
    talk = ToldTalk(tmp_path, Silence())
    with talk.track("train", 100) as advance:
        talk.written_s -= LEAST_S
        advance(90, "")
        assert read_progress(tmp_path).bar.left_s is None


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    with told(tmp_path / "gone", Silence()) as talk, talk.track("train", 1) as advance:
        talk.step("look", STEPS)
        advance(1, "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "x"}', json.dumps({"pid": 1, "steps": 3}), "\udce4"])
def test_what_is_no_progress_reads_as_none(tmp_path, text):
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_progress(tmp_path) is None


def test_the_talk_beside_it_hears_everything(tmp_path):
    heard = []

    class Ear(Silence):
        def say(self, text):
            heard.append(text)

        warn = say

        def step(self, name, steps):
            heard.append(name)

    with told(tmp_path, Ear()) as talk:
        talk.say("said")
        talk.warn("warned")
        talk.step("look", STEPS)
    assert heard == ["said", "warned", "look"]
    assert Progress(pid=1, command="", started="").steps == ()
