"""How each API writes a question, an answer, a refusal and the end of a stream. Nothing is read or sent here;
the models of a body are in `references`, the refusals of upstreams in `upstream`."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from carnet.gateway.calls import Call, Dialect
from carnet.gateway.dialects import anthropic, openai
from carnet.gateway.dialects.shaping import Headers
from carnet.gateway.notices import Notice


class Api(Protocol):
    """What there is of each API. What the functions do is said in `anthropic` and `openai`."""

    def read(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> Call: ...

    def refusal(self, notice: Notice, *, blocked_by: str | None = None) -> tuple[int, Headers, bytes]: ...

    def cut(self, notice: Notice, *, path: str, at_boundary: bool, sequence: int = 0) -> bytes: ...

    def listed(self, body: bytes, may: Callable[[str], bool]) -> bytes: ...

    def substituted(self, body: bytes, model: str) -> bytes: ...

    def substituted_event(self, whole: bytes, model: str) -> bytes: ...


APIS: Mapping[Dialect, Api] = {"anthropic": anthropic, "openai": openai}
