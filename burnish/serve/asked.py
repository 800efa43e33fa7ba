"""What a client may ask: the bodies of the OpenAI API, every value with its bounds, everything else refused by name.

What OpenAI clients send and no answer depends on is taken and ignored; what would change the answer and is not
supported is refused, because a setting that is silently dropped is a wrong answer.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_STOPS, LONGEST_STOP = 4, 256
MOST_MESSAGES = 1024
MOST_TOP = 20
TOKENS = Annotated[int, Field(ge=1, le=10**6)]
SEED = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]


class Body(BaseModel):
    """Strict about names and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class TextPart(Body):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class Turn(Body):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None
    """Taken and ignored: chat templates have no place for it."""

    @property
    def text(self) -> str:
        """The content as one text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class JsonSchema(Body):
    """A named schema that the answer must keep to."""

    name: str = ""
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    """Taken and ignored: the schema always holds."""


class ResponseFormat(Body):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema", "task"]
    """text: whatever the model says. task: as the project's evaluations ask it, which chooses exactly among the
    labels of a label task and writes the fields of a fields task."""
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to the type json_schema, and only there")
        return self


class StreamOptions(Body):
    """What a stream says beside its text."""

    include_usage: bool = False
    include_obfuscation: bool | None = None
    """Taken and ignored."""


class Asked(Body):
    """What both ways of asking share."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """A version's name, or the project's name for its champion."""
    max_tokens: TOKENS | None = None
    """Most tokens of the answer, its end included; null: as many as the server allows and the base has room for."""
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    """0 and null: always the likeliest token, which is what was measured."""
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    seed: SEED | None = None
    """The same seed gives the same text; null: a random one."""
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    """Texts that end the answer and are cut off it."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    user: str | None = None
    """Who asks: while a canary runs, all that one user asks goes to one version."""
    metadata: dict[str, str] | None = None
    """Taken and ignored, as are the next ones."""
    store: Literal[False] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @model_validator(mode="after")
    def _options_belong_to_a_stream(self) -> "Asked":
        if self.stream_options and not self.stream:
            raise ValueError("stream_options belongs to a stream")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatAsked(Asked):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_completion_tokens: TOKENS | None = None
    """The newer name of max_tokens; one of both at most."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_TOP)] | None = None
    response_format: ResponseFormat | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "ChatAsked":
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens are two names of one thing; give one of them")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        return self

    @property
    def form(self) -> str:
        """The type of the response format."""
        return self.response_format.type if self.response_format else "text"


class TextAsked(Asked):
    """The body of /v1/completions: a text that goes on, without the chat template."""

    prompt: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1, max_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None

    @property
    def text(self) -> str:
        """The one prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]
