from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Clearance(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLEARANCE_UNSPECIFIED: _ClassVar[Clearance]
    CLEARANCE_SANITISED: _ClassVar[Clearance]
    CLEARANCE_PUBLIC: _ClassVar[Clearance]
CLEARANCE_UNSPECIFIED: Clearance
CLEARANCE_SANITISED: Clearance
CLEARANCE_PUBLIC: Clearance

class EnrolRequest(_message.Message):
    __slots__ = ("name", "certificate_request", "signing_key", "signing_proof", "protocol")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_PROOF_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    name: str
    certificate_request: bytes
    signing_key: bytes
    signing_proof: bytes
    protocol: int
    def __init__(self, name: _Optional[str] = ..., certificate_request: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., signing_proof: _Optional[bytes] = ..., protocol: _Optional[int] = ...) -> None: ...

class EnrolReply(_message.Message):
    __slots__ = ("certificate", "authority", "server_signing_key", "federation")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    SERVER_SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    authority: bytes
    server_signing_key: bytes
    federation: str
    def __init__(self, certificate: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., server_signing_key: _Optional[bytes] = ..., federation: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("certificate_request", "signing_key", "signing_proof")
    CERTIFICATE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_PROOF_FIELD_NUMBER: _ClassVar[int]
    certificate_request: bytes
    signing_key: bytes
    signing_proof: bytes
    def __init__(self, certificate_request: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., signing_proof: _Optional[bytes] = ...) -> None: ...

class ClientFrame(_message.Message):
    __slots__ = ("hello", "reply", "refusal", "pong", "bye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    reply: FlowerMessage
    refusal: Refusal
    pong: Pong
    bye: Bye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., reply: _Optional[_Union[FlowerMessage, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ...) -> None: ...

class ServerFrame(_message.Message):
    __slots__ = ("welcome", "request", "lend", "published", "ping", "bye", "left_out")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    LEND_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    BYE_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    request: FlowerMessage
    lend: LendRequest
    published: Published
    ping: Ping
    bye: Bye
    left_out: LeftOut
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., request: _Optional[_Union[FlowerMessage, _Mapping]] = ..., lend: _Optional[_Union[LendRequest, _Mapping]] = ..., published: _Optional[_Union[Published, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., bye: _Optional[_Union[Bye, _Mapping]] = ..., left_out: _Optional[_Union[LeftOut, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "software", "models", "nonce", "base", "published")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    software: str
    models: _containers.RepeatedCompositeFieldContainer[Model]
    nonce: bytes
    base: str
    published: int
    def __init__(self, protocol: _Optional[int] = ..., software: _Optional[str] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., nonce: _Optional[bytes] = ..., base: _Optional[str] = ..., published: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "software", "federation", "session", "nonce", "signature", "last", "transfer")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    software: str
    federation: str
    session: bytes
    nonce: bytes
    signature: bytes
    last: Published
    transfer: bytes
    def __init__(self, protocol: _Optional[int] = ..., software: _Optional[str] = ..., federation: _Optional[str] = ..., session: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., last: _Optional[_Union[Published, _Mapping]] = ..., transfer: _Optional[bytes] = ...) -> None: ...

class FlowerMessage(_message.Message):
    __slots__ = ("id", "kind", "digest", "size", "deadline", "manifest", "signature", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    digest: bytes
    size: int
    deadline: float
    manifest: bytes
    signature: bytes
    error: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., digest: _Optional[bytes] = ..., size: _Optional[int] = ..., deadline: _Optional[float] = ..., manifest: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., error: _Optional[str] = ...) -> None: ...

class Published(_message.Message):
    __slots__ = ("round", "previous", "digest", "adapters", "signature")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    round: int
    previous: bytes
    digest: bytes
    adapters: bytes
    signature: bytes
    def __init__(self, round: _Optional[int] = ..., previous: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., adapters: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Bye(_message.Message):
    __slots__ = ("reason", "retry_after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: str
    retry_after: float
    def __init__(self, reason: _Optional[str] = ..., retry_after: _Optional[float] = ...) -> None: ...

class LeftOut(_message.Message):
    __slots__ = ("round", "reason")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    round: int
    reason: str
    def __init__(self, round: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class PutPart(_message.Message):
    __slots__ = ("digest", "size", "data")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    size: int
    data: bytes
    def __init__(self, digest: _Optional[bytes] = ..., size: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PutReply(_message.Message):
    __slots__ = ("have", "complete")
    HAVE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    have: int
    complete: bool
    def __init__(self, have: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    def __init__(self, digest: _Optional[bytes] = ..., **kwargs) -> None: ...

class GetPart(_message.Message):
    __slots__ = ("data", "size")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    size: int
    def __init__(self, data: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeReply(_message.Message):
    __slots__ = ("protocol", "software", "models", "plans", "limits", "transfer", "transfer_size")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_SIZE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    software: str
    models: _containers.RepeatedCompositeFieldContainer[Model]
    plans: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    transfer: bytes
    transfer_size: int
    def __init__(self, protocol: _Optional[int] = ..., software: _Optional[str] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., plans: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., transfer: _Optional[bytes] = ..., transfer_size: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "reference", "base", "vocabulary", "vocabulary_size", "wants")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_SIZE_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    reference: str
    base: str
    vocabulary: str
    vocabulary_size: int
    wants: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., reference: _Optional[str] = ..., base: _Optional[str] = ..., vocabulary: _Optional[str] = ..., vocabulary_size: _Optional[int] = ..., wants: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("prompt_bytes", "sessions", "ids_per_feed", "ids_per_session", "top_k", "idle_seconds", "answer_tokens")
    PROMPT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    IDS_PER_FEED_FIELD_NUMBER: _ClassVar[int]
    IDS_PER_SESSION_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    prompt_bytes: int
    sessions: int
    ids_per_feed: int
    ids_per_session: int
    top_k: int
    idle_seconds: int
    answer_tokens: int
    def __init__(self, prompt_bytes: _Optional[int] = ..., sessions: _Optional[int] = ..., ids_per_feed: _Optional[int] = ..., ids_per_session: _Optional[int] = ..., top_k: _Optional[int] = ..., idle_seconds: _Optional[int] = ..., answer_tokens: _Optional[int] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("open", "feed", "rewind")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    REWIND_FIELD_NUMBER: _ClassVar[int]
    open: Open
    feed: Feed
    rewind: Rewind
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., feed: _Optional[_Union[Feed, _Mapping]] = ..., rewind: _Optional[_Union[Rewind, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("model", "vocabulary", "prompt", "clearance", "lease", "slots", "before")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    CLEARANCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    model: str
    vocabulary: str
    prompt: str
    clearance: Clearance
    lease: bytes
    slots: Slots
    before: _containers.RepeatedCompositeFieldContainer[Said]
    def __init__(self, model: _Optional[str] = ..., vocabulary: _Optional[str] = ..., prompt: _Optional[str] = ..., clearance: _Optional[_Union[Clearance, str]] = ..., lease: _Optional[bytes] = ..., slots: _Optional[_Union[Slots, _Mapping]] = ..., before: _Optional[_Iterable[_Union[Said, _Mapping]]] = ...) -> None: ...

class Said(_message.Message):
    __slots__ = ("role", "text")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    role: str
    text: str
    def __init__(self, role: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Slots(_message.Message):
    __slots__ = ("host", "count", "numbers", "scale")
    HOST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    host: str
    count: int
    numbers: bytes
    scale: bytes
    def __init__(self, host: _Optional[str] = ..., count: _Optional[int] = ..., numbers: _Optional[bytes] = ..., scale: _Optional[bytes] = ...) -> None: ...

class Feed(_message.Message):
    __slots__ = ("base", "ids", "want")
    BASE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    WANT_FIELD_NUMBER: _ClassVar[int]
    base: int
    ids: bytes
    want: Want
    def __init__(self, base: _Optional[int] = ..., ids: _Optional[bytes] = ..., want: _Optional[_Union[Want, _Mapping]] = ...) -> None: ...

class Rewind(_message.Message):
    __slots__ = ("length",)
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    length: int
    def __init__(self, length: _Optional[int] = ...) -> None: ...

class Want(_message.Message):
    __slots__ = ("full", "topk", "scores", "verify")
    FULL_FIELD_NUMBER: _ClassVar[int]
    TOPK_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    full: Full
    topk: TopK
    scores: Scores
    verify: Verify
    def __init__(self, full: _Optional[_Union[Full, _Mapping]] = ..., topk: _Optional[_Union[TopK, _Mapping]] = ..., scores: _Optional[_Union[Scores, _Mapping]] = ..., verify: _Optional[_Union[Verify, _Mapping]] = ...) -> None: ...

class Full(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TopK(_message.Message):
    __slots__ = ("k",)
    K_FIELD_NUMBER: _ClassVar[int]
    k: int
    def __init__(self, k: _Optional[int] = ...) -> None: ...

class Scores(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Verify(_message.Message):
    __slots__ = ("sampling", "offset", "silent")
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    sampling: Sampling
    offset: int
    silent: int
    def __init__(self, sampling: _Optional[_Union[Sampling, _Mapping]] = ..., offset: _Optional[int] = ..., silent: _Optional[int] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "top_p", "top_k", "max_tokens", "seed")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int
    def __init__(self, temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., max_tokens: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class SessionReply(_message.Message):
    __slots__ = ("opened", "fed", "length", "lease", "refused")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    FED_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    opened: Opened
    fed: Fed
    length: Length
    lease: bytes
    refused: str
    def __init__(self, opened: _Optional[_Union[Opened, _Mapping]] = ..., fed: _Optional[_Union[Fed, _Mapping]] = ..., length: _Optional[_Union[Length, _Mapping]] = ..., lease: _Optional[bytes] = ..., refused: _Optional[str] = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("vocabulary", "wants", "prompt_ids")
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_IDS_FIELD_NUMBER: _ClassVar[int]
    vocabulary: str
    wants: _containers.RepeatedScalarFieldContainer[str]
    prompt_ids: int
    def __init__(self, vocabulary: _Optional[str] = ..., wants: _Optional[_Iterable[str]] = ..., prompt_ids: _Optional[int] = ...) -> None: ...

class Fed(_message.Message):
    __slots__ = ("length", "rows", "logp", "ids", "tail", "seconds")
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LOGP_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    length: int
    rows: int
    logp: bytes
    ids: bytes
    tail: bytes
    seconds: float
    def __init__(self, length: _Optional[int] = ..., rows: _Optional[int] = ..., logp: _Optional[bytes] = ..., ids: _Optional[bytes] = ..., tail: _Optional[bytes] = ..., seconds: _Optional[float] = ...) -> None: ...

class Length(_message.Message):
    __slots__ = ("length",)
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    length: int
    def __init__(self, length: _Optional[int] = ...) -> None: ...

class LendRequest(_message.Message):
    __slots__ = ("lease", "model", "deadline")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    lease: bytes
    model: str
    deadline: float
    def __init__(self, lease: _Optional[bytes] = ..., model: _Optional[str] = ..., deadline: _Optional[float] = ...) -> None: ...

class RespondRequest(_message.Message):
    __slots__ = ("prompt", "clearance", "plan", "sampling", "before")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    CLEARANCE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    clearance: Clearance
    plan: str
    sampling: Sampling
    before: _containers.RepeatedCompositeFieldContainer[Said]
    def __init__(self, prompt: _Optional[str] = ..., clearance: _Optional[_Union[Clearance, str]] = ..., plan: _Optional[str] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., before: _Optional[_Iterable[_Union[Said, _Mapping]]] = ...) -> None: ...

class RespondReply(_message.Message):
    __slots__ = ("text", "usage")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    text: str
    usage: Usage
    def __init__(self, text: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("passes", "tokens_read", "tokens_written", "seconds", "plan", "left_out")
    PASSES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_READ_FIELD_NUMBER: _ClassVar[int]
    TOKENS_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    passes: int
    tokens_read: int
    tokens_written: int
    seconds: float
    plan: str
    left_out: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, passes: _Optional[int] = ..., tokens_read: _Optional[int] = ..., tokens_written: _Optional[int] = ..., seconds: _Optional[float] = ..., plan: _Optional[str] = ..., left_out: _Optional[_Iterable[str]] = ...) -> None: ...

class InviteRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class InviteReply(_message.Message):
    __slots__ = ("line",)
    LINE_FIELD_NUMBER: _ClassVar[int]
    line: str
    def __init__(self, line: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    def __init__(self, json: _Optional[bytes] = ...) -> None: ...

class TrainRequest(_message.Message):
    __slots__ = ("rounds", "resume")
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    rounds: int
    resume: bool
    def __init__(self, rounds: _Optional[int] = ..., resume: _Optional[bool] = ...) -> None: ...

class TrainReply(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: str
    def __init__(self, run: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class WatchEvent(_message.Message):
    __slots__ = ("number", "json")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    number: int
    json: bytes
    def __init__(self, number: _Optional[int] = ..., json: _Optional[bytes] = ...) -> None: ...
