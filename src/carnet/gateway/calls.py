"""What a request asks of a model API, whichever API it is. How each API writes it is in
`carnet.gateway.dialects`; what is done about it is elsewhere."""

from typing import Literal

from msgspec import Struct

Dialect = Literal["anthropic", "openai"]
Operation = Literal["generate", "count", "models", "model", "batch", "file", "other"]
"""What is asked for: an answer of a model, the tokens that a question has, the list of models, one of them, a
batch of questions, a file, or anything else that the API has."""


class Reference(Struct, frozen=True):
    """A model that a request names beside the one that is to answer: a tool's, a sub-agent's, a line's of a
    batch, one to fall back to. `where` is the JSON pointer (RFC 6901) of the name."""

    where: str
    model: str


class Needs(Struct, frozen=True, kw_only=True):
    """What a model has to be able to do to answer. `input_bytes` is the length of the question as text,
    `output_tokens` the most that is asked for, 0 if nothing is said."""

    tools: bool = False
    images: bool = False
    documents: bool = False
    json: bool = False
    input_bytes: int = 0
    output_tokens: int = 0


class Call(Struct, frozen=True, kw_only=True):
    """A request as it was understood. `model` is the name that the body gives, word for word; None where the
    operation names none. `end_user` is whom the body names, a claim and nothing more."""

    dialect: Dialect
    operation: Operation
    model: str | None = None
    stream: bool = False
    references: tuple[Reference, ...] = ()
    needs: Needs = Needs()
    end_user: str | None = None
