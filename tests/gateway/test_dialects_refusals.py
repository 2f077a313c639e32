"""Every refusal and every end of a stream, byte for byte, in each API's own shape. `CARNET_WRITE_GOLDENS=1`
writes the files anew; read the difference before committing it."""

import json
import os
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from carnet.gateway.dialects import APIS
from carnet.gateway.notices import LEGAL, STATUS, Ask, Code, Notice

HERE = Path(__file__).parent / "goldens"
CODES = get_args(Code)
OPERATOR = "https://gateway.example.org/blocked"
ENDS = {"messages": ("anthropic", "/v1/messages"), "chat": ("openai", "/v1/chat/completions")}
ENDS["responses"] = ("openai", "/v1/responses")
NOTICE = Notice(
    code="export_control_denied",
    message="claude-fable-5 may not be released to you under 15 CFR 734.13(b). You may appeal.",
    request_id="req_01",
    model="claude-fable-5",
    record="rec_01",
    rules=("us.directive.2026-06-12.person",),
    directive="us.directive.2026-06-12",
    scope="claude-fable-5, foreign persons",
    effective="2026-06-12T21:21:00Z",
    review="not stated",
    ask_url="https://status.example.org/prove",
    appeal_url="https://status.example.org/appeal",
    authority_url="https://www.bis.gov",
    alternatives=("claude-opus-4-8",),
)
ASKING = structs.replace(
    NOTICE,
    code="evidence_needed",
    message="It is not known whether you are a US person. Prove it and ask again.",
    asks=(
        Ask(
            fact="person.status",
            text="Are you a US person?",
            rules=("us.directive.2026-06-12.person",),
            evidence="attestation",
        ),
    ),
)


def notice(code):
    """A notice as the gateway would make it: only an answer of law names a law."""
    if code == "evidence_needed":
        return ASKING
    if code in LEGAL:
        return structs.replace(NOTICE, code=code)
    after = 7 if code in {"carnet_unavailable", "too_many_requests"} else None
    return Notice(code=code, message="What happened, and what to do.", request_id="req_01", retry_after=after)


def golden(name, text):
    file = HERE / f"{name}.txt"
    if os.environ.get("CARNET_WRITE_GOLDENS"):
        file.write_text(text, "utf-8")
    assert file.read_text("utf-8") == text, "read the difference; then CARNET_WRITE_GOLDENS=1 writes it"


def shown(status, headers, body):
    head = "".join(f"{name}: {value}\n" for name, value in headers)
    return f"{status}\n{head}\n{json.dumps(json.loads(body), indent=2)}\n"


@pytest.mark.parametrize("dialect", APIS)
@pytest.mark.parametrize("code", CODES)
def test_a_refusal_is_what_it_was(dialect, code):
    golden(f"refusal-{dialect}-{code}", shown(*APIS[dialect].refusal(notice(code))))


@pytest.mark.parametrize("dialect", APIS)
def test_a_refusal_for_legal_reasons_is_what_it_was(dialect):
    golden(f"refusal-{dialect}-451", shown(*APIS[dialect].refusal(NOTICE, blocked_by=OPERATOR)))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("at_boundary", [True, False], ids=["whole", "half"])
def test_an_end_of_a_stream_is_what_it_was(end, at_boundary):
    dialect, path = ENDS[end]
    data = APIS[dialect].cut(NOTICE, path=path, at_boundary=at_boundary, sequence=4)
    golden(f"cut-{end}-{'whole' if at_boundary else 'half'}", data.decode())


def test_no_golden_is_left_over():
    names = {f"refusal-{dialect}-{code}" for dialect in APIS for code in (*CODES, "451")}
    names |= {f"cut-{end}-{how}" for end in ENDS for how in ("whole", "half")}
    assert {file.stem for file in HERE.glob("*.txt")} == names


@pytest.mark.parametrize("dialect", APIS)
@pytest.mark.parametrize("code", CODES)
def test_only_an_answer_of_law_becomes_451(dialect, code):
    status, headers, _ = APIS[dialect].refusal(notice(code), blocked_by=OPERATOR)
    assert status == (451 if code in LEGAL else STATUS[code])
    links = [value for name, value in headers if name == "link"]
    assert links == ([f'<{OPERATOR}>; rel="blocked-by"'] if code in LEGAL else [])


@pytest.mark.parametrize("dialect", APIS)
@pytest.mark.parametrize("code", CODES)
def test_whatever_a_retry_does_not_help_is_not_retried(dialect, code):
    _, headers, _ = APIS[dialect].refusal(notice(code))
    again = code in {"carnet_unavailable", "too_many_requests", "upstream_failed"}
    assert (("x-should-retry", "false") in headers) is not again


@pytest.mark.parametrize("dialect", APIS)
@pytest.mark.parametrize("code", sorted(set(CODES) - {"carnet_unavailable", "too_many_requests"}))
def test_only_an_inability_of_now_says_when_to_ask_again(dialect, code):
    _, headers, _ = APIS[dialect].refusal(structs.replace(NOTICE, code=code, retry_after=5))
    assert "retry-after" not in dict(headers)


@pytest.mark.parametrize("dialect", APIS)
@pytest.mark.parametrize("code", sorted(set(CODES) - LEGAL))
def test_an_inability_names_no_law(dialect, code):
    _, _, body = APIS[dialect].refusal(structs.replace(ASKING, code=code))
    carnet = json.loads(body)["error"]["carnet"]
    assert set(carnet) == {"code", "model", "record", "alternatives"}


@pytest.mark.parametrize(
    "url",
    ["https://a.example/\r\nx: y", "https://a.example/>; rel=x", "javascript:x", "", "https://ä.example"],
)
@pytest.mark.parametrize("dialect", APIS)
def test_a_link_that_is_no_url_is_an_error_of_the_operator(dialect, url):
    with pytest.raises(ValueError, match="is not the URL of who blocks"):
        APIS[dialect].refusal(NOTICE, blocked_by=url)


wild = st.text(max_size=20) | st.sampled_from(
    ["a\r\nset-cookie: b=c", "\n\ndata: x\n\n", "\ud800", "\x85\u2028"]
)
notices = st.builds(
    Notice,
    code=st.sampled_from(CODES),
    message=wild,
    request_id=wild,
    model=wild,
    record=wild,
    rules=st.tuples(wild),
    directive=wild,
    scope=wild,
    ask_url=wild,
    appeal_url=wild,
    authority_url=wild,
    asks=st.tuples(st.builds(Ask, fact=wild, text=wild)),
    retry_after=st.none() | st.integers(-5, 100),
)


@given(notices, st.sampled_from(list(APIS)))
def test_no_header_holds_more_than_its_value_whatever_a_notice_holds(said, dialect):
    _, headers, body = APIS[dialect].refusal(said, blocked_by=OPERATOR)
    assert len({name for name, _ in headers}) == len(headers)
    for name, value in headers:
        assert name.isascii()
        assert all(" " <= sign <= "~" for sign in value), name
    assert json.loads(body)["error"]["carnet"]["code"] == said.code


@given(notices, st.sampled_from(list(ENDS)))
def test_an_end_of_a_stream_is_one_event_whatever_a_notice_holds(said, end):
    dialect, path = ENDS[end]
    data = APIS[dialect].cut(said, path=path, at_boundary=True)
    events = [each for each in data.decode("ascii").splitlines() if each.startswith("data: {")]
    assert len(events) == 1
    assert json.loads(events[0].removeprefix("data: "))["error"]["message"] == said.message
    assert data.endswith(b"\n\n")
