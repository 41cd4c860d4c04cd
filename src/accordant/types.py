"""The records that a row passes through, and the one legend of axes and words.

Axes (every shape comment in the package uses these letters)::

    P  prompts of one step           S  prompt tokens, left-padded       V  vocabulary
    G  samples per prompt            T  response tokens, right-padded    H  hidden size
    B  rows of a step, B = P * G     L  all tokens of a row, L = S + T   N  rows of an offline batch

Words: `logp` is a log-probability in nats; `ref_logp` the frozen reference's; `reward` one number per response;
`value` the critic's expectation; `advantage` what an action did better than expected. **Masks are positive**: True means
that this token counts. A group is the G samples of one prompt; groups are never torn apart.

Each record of the online path contains the one before it, is frozen, and has no optional tensor: you cannot hold a reward
that does not exist yet. Text records know the file and line they came from, so that every complaint can name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import torch

Role: TypeAlias = Literal["system", "user", "assistant"]


class UserError(Exception):
    """Something the user can put right. The command line prints the message alone (no traceback) and exits with 2.

    The message says the value, the limit and the fix.
    """


# --- station 1: text -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row came from: `str(Source("pairs.jsonl", 3)) == "pairs.jsonl:3"`. Lines count from 1; 0 = made by a program."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


MADE = Source("made by a program", 0)


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


PromptText: TypeAlias = "str | tuple[Message, ...]"
"""Plain text is continued as it stands; messages go through the tokenizer's chat template."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Something to answer: plain text, or the turns so far. `Prompt("Once upon a time")`."""

    prompt: PromptText
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Document:
    """Raw text for pretraining and domain adaptation; every token is trained on. `Document("Lily had a cat.")`."""

    text: str
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt and the answer to learn. `Chat("2+2=", "4")`. Messages in `prompt` may contain earlier assistant turns."""

    prompt: PromptText
    completion: str
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and its class. `Labelled("a warm, funny film", 1)`."""

    text: str
    label: int
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Thumb:
    """A thumb up or down for one answer, with nothing to compare it to. `Thumb("2+2=", "4", up=True)`."""

    prompt: PromptText
    completion: str
    up: bool
    labeler: str = "?"
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Pair:
    """`chosen` was preferred to `rejected`. `margin` >= 0 in reward units, `weight` > 0 is the label's confidence.

    `tie`: the two were judged equally good, and which of them is called chosen means nothing.
    """

    prompt: PromptText
    chosen: str
    rejected: str
    margin: float = 0.0
    weight: float = 1.0
    tie: bool = False
    labeler: str = "?"
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Ranking:
    """One labeler's weak order over K completions.

    `groups` lists indices into `completions`, best group first, ties inside a group; `rejected` are the answers marked F.
    `Ranking("q", ("a", "b", "c"), groups=((2,), (0,)), rejected=(1,), labeler="ana")`: c before a, b rejected.
    """

    prompt: PromptText
    completions: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    rejected: tuple[int, ...] = ()
    labeler: str = "?"
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Rating:
    """Scores of one completion by attribute, a missing attribute simply absent. `Rating("q", "a", {"quality": 4.0})`."""

    prompt: PromptText
    completion: str
    scores: Mapping[str, float]
    labeler: str = "?"
    source: Source = MADE


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion as rewards and judges read it. `finished`: it ended by itself; False: it was cut at the length limit."""

    prompt: PromptText
    completion: str
    finished: bool


Row: TypeAlias = "Prompt | Document | Chat | Labelled | Thumb | Pair | Ranking | Rating"


# --- station 2: tokens -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text as token ids, and for each of them whether it is trained on (`len(ids) == len(loss_mask)`).

    For `Chat("2+2=", "4")`: the ids of ``<s>2+2=4</s>`` and True on ``4</s>`` only. `prompt_length` tokens come before the
    completion (0 where the row has no prompt).
    """

    ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    prompt_length: int = 0

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.loss_mask):
            raise ValueError(f"{len(self.ids)} ids but {len(self.loss_mask)} mask entries: they must be equally many")


@dataclass(frozen=True, slots=True)
class TokenPair:
    """Both answers of a `Pair`, each with the prompt before it."""

    chosen: Tokens
    rejected: Tokens
    margin: float
    weight: float
    tie: bool = False

    @property
    def answers(self) -> tuple[Tokens, Tokens]:
        return self.chosen, self.rejected


@dataclass(frozen=True, slots=True)
class TokenRanking:
    """The K answers of a `Ranking`, each with the prompt before it. `level[k]`: 0 = best, equal = tied."""

    answers: tuple[Tokens, ...]
    level: tuple[int, ...]
    rejected: tuple[bool, ...]  # marked F; all of them share the last level


@dataclass(frozen=True, slots=True)
class TokenLabel:
    """A text with its class."""

    tokens: Tokens
    label: int


@dataclass(frozen=True, slots=True)
class TokenRating:
    """An answer with its ratings in the order of the model's outputs, standardised; nan where one is missing."""

    tokens: Tokens
    scores: tuple[float, ...]


# --- stations 3-5: a step of online training -------------------------------------------------------------------------


@dataclass(frozen=True)
class Rollout:
    """Station 3: what the policy wrote, exactly as it was sampled. Row b belongs to prompt `group[b]`.

    A prompt "a b" and a response "c </s>" in a batch with S=3, T=3 is::

        ids            [pad a b | c </s> pad]
        mask           [ F  T T | T  T    F ]      mask[:, S:] is the response mask
        logp                     [-1.2 -0.1 0]
        finished       True                         a stop id was sampled; False: cut at T tokens, no forged end
    """

    ids: torch.Tensor  # (B, S + T) int64
    mask: torch.Tensor  # (B, S + T) bool
    logp: torch.Tensor  # (B, T) float32, nats at the sampling temperature; 0 where the mask is False
    finished: torch.Tensor  # (B,) bool
    group: torch.Tensor  # (B,) int64, ascending
    prompt_length: int  # S

    @property
    def response_mask(self) -> torch.Tensor:
        """(B, T) bool: the sampled tokens, the stop id included."""
        return self.mask[:, self.prompt_length :]

    @property
    def response_ids(self) -> torch.Tensor:
        """(B, T) int64."""
        return self.ids[:, self.prompt_length :]


@dataclass(frozen=True)
class Scored:
    """Station 4: the rollout with its reward and the log-probabilities that the trainer itself computes.

    `old_logp` comes from the trainer's own forward, not from the sampler, so that the first ratio is exactly 1.
    """

    rollout: Rollout
    reward: torch.Tensor  # (B,) float32
    old_logp: torch.Tensor  # (B, T) float32
    ref_logp: torch.Tensor  # (B, T) float32


@dataclass(frozen=True)
class Valued:
    """Station 4 for algorithms with a critic: V(s_t), read at the token before action t."""

    scored: Scored
    value: torch.Tensor  # (B, T) float32


Step: TypeAlias = "Scored | Valued"


# --- station 6: what a model says about a micro-batch ------------------------------------------------------------------


@dataclass(frozen=True)
class ActorOut:
    """The policy's view of a micro-batch of responses, with gradient."""

    logp: torch.Tensor  # (B, T) float32
    entropy: torch.Tensor  # (B, T) float32, nats


@dataclass(frozen=True)
class ActorCriticOut:
    """The same with the value head's."""

    logp: torch.Tensor  # (B, T) float32
    entropy: torch.Tensor  # (B, T) float32
    value: torch.Tensor  # (B, T) float32


@dataclass(frozen=True)
class Batch:
    """A micro-batch of an offline algorithm: N rows right-padded to L tokens, and per-item numbers of the algorithm's own.

    An item is one row, or the K answers to one prompt (a pair is K = 2). All items of a batch have equally many: the first
    answers of all items, then the second ones in the same order, and so on.
    """

    ids: torch.Tensor  # (N, L) int64
    mask: torch.Tensor  # (N, L) bool, real tokens
    loss_mask: torch.Tensor  # (N, L) bool, trained tokens
    extra: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class LanguageOut:
    """A language model's view of a `Batch`."""

    logp: torch.Tensor  # (N, L) float32, of each trained token given those before it; 0 elsewhere


@dataclass(frozen=True)
class ScoreOut:
    """A scalar model's view of a `Batch`."""

    score: torch.Tensor  # (N, A) float32, A outputs; 1 but for models of several attributes


Sums: TypeAlias = "dict[str, torch.Tensor]"
Metrics: TypeAlias = "dict[str, tuple[float, float]]"
"""Named (sum, count): the loop adds both over micro-batches and processes, then divides once."""
