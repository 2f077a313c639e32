"""What a verdict, or an inability, is told as: facts for a notice, in sentences that whoever is refused can
do something with. How an API writes them is in `carnet.gateway.dialects`."""

import traceback
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from carnet.gateway.config import Directory, Model
from carnet.gateway.notices import Ask, Code, Notice
from carnet.service.api import Missing, Verdict
from carnet.words.catalogue import ENGLISH

UNAVAILABLE_SECONDS = 5


class Told(Exception):
    """Raised by whatever finds that a request is not served as it was asked; the notice says why."""

    def __init__(self, notice: Notice) -> None:
        self.notice = notice
        super().__init__(notice.code)


def told(code: Code, message: str, request_id: str, model: str | None = None) -> Told:
    """An answer that names no law."""
    return Told(Notice(code=code, message=message, request_id=request_id, model=model))


def unavailable(request_id: str, model: str | None = None) -> Notice:
    """An inability: nothing of the law, and no word of what is wrong, which is in the operator's log."""
    return Notice(
        code="carnet_unavailable",
        message=ENGLISH.say("door.unavailable"),
        request_id=request_id,
        model=model,
        retry_after=UNAVAILABLE_SECONDS,
    )


def defect(error: BaseException) -> str:
    """What went wrong and where, for a log: the words of an error may hold what somebody sent."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-6:]))
    return f"{type(error).__name__} at {places}"


def too_many(request_id: str, seconds: int) -> Notice:
    """A key has used up what it may ask for."""
    return Notice(
        code="too_many_requests",
        message=ENGLISH.say("door.too_many", seconds=seconds),
        request_id=request_id,
        retry_after=seconds,
    )


def refused(
    verdict: Verdict,
    directory: Directory,
    request_id: str,
    model: Model,
    alternatives: Sequence[str] = (),
    why_not: str | None = None,
) -> Notice:
    """What is told about a verdict that does not serve. `alternatives` are names of models that this caller
    may use now; `why_not` says why none of them answered instead."""
    denial, against = directory.config.denial, verdict.standing or verdict.needing
    first = against[0] if against else None
    return Notice(
        code=_code(verdict),
        message=_message(verdict, model, alternatives, why_not, denial.appeal_url),
        request_id=request_id,
        model=model.name,
        record=verdict.record or None,
        rules=tuple(one.rule for one in against),
        directive=None if first is None else first.cite,
        scope=model.item,
        effective=None if first is None else first.effective,
        review=None if first is None else first.until or "none stated",
        asks=tuple(
            Ask(
                fact=one.fact,
                text=one.text,
                who=one.who,
                rules=tuple(rule.rule for rule in verdict.needing),
                evidence=one.evidence,
            )
            for one in _askable(verdict)
        ),
        ask_url=denial.ask_url,
        appeal_url=denial.appeal_url,
        authority_url=denial.authority_url,
        alternatives=tuple(alternatives),
    )


def cut_short(notice: Notice) -> Notice:
    """The same, for whoever was being answered."""
    return structs.replace(notice, message=f"{ENGLISH.say('door.cut')} {notice.message}")


def named(models: Sequence[str]) -> str:
    """Names in a sentence."""
    return ", ".join(f"`{model}`" for model in models)


def _code(verdict: Verdict) -> Code:
    if verdict.outcome in {"prohibited", "license_required"}:
        return "export_control_denied"
    return "evidence_needed" if verdict.outcome == "needs_facts" and _askable(verdict) else "policy_denied"


def _askable(verdict: Verdict) -> tuple[Missing, ...]:
    """What a caller can be asked; what the operator has to say himself is no question to anybody else."""
    return tuple(one for one in verdict.missing if one.who != "operator")


def _message(
    verdict: Verdict, model: Model, alternatives: Sequence[str], why_not: str | None, appeal_url: str | None
) -> str:
    say = ENGLISH.say
    said = [say("door.refused", model=model.name, headline=verdict.headline, meaning=verdict.meaning)]
    if verdict.standing:
        cites = dict.fromkeys(rule.cite for rule in verdict.standing)
        said.append(say("door.under", cites="; ".join(cites)))
    if asked := _askable(verdict):
        said.append(say("door.missing", facts=", ".join(one.text for one in asked)))
    if why_not is not None:
        said.append(why_not)
    if alternatives:
        said.append(say("door.alternatives", models=named(alternatives)))
    if appeal_url is not None:
        said.append(say("door.appeal", url=appeal_url))
    return " ".join((*said, say("door.no_advice")))
