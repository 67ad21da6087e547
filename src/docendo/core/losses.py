"""Settings of training objectives. The functions that compute them live in ``docendo.trainers.losses``.

    completions     Supervised, BehaviouralCloning, Gold, ActorCritic, Bvmpo
    pairs           Preference: DPO, and with other pairs SPIN and V-STaR's verifier
                    RewardPairs: a reward model's head
    choices         Xent, LogConf, Product
    choice pairs    EvaluatorMargin

The columns of training rows are in ``docs/training.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from docendo.core.errors import SettingError

REFERENCE_SUMS = ("ref_chosen_logps", "ref_rejected_logps")
"""Columns with the reference's log-probability of each text of a pair, named as TRL reads them."""
REFERENCE_TOKENS = "ref_token_logps"
"""The column with the reference's log-probability of each learned token of a completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Which columns of the training rows a loss looks at, beside prompt, prefix and weight."""

    texts: tuple[str, ...] = ("completion",)
    """Columns whose text follows the prompt and is learned up to its end token, each for itself."""
    choices: bool = False
    """Each row has choices, and the probabilities of these are what is learned. They follow the prompt; where
    there are texts, these end the last turn of the prompt, and the choices follow each of them."""
    numbers: tuple[str, ...] = ()
    """Columns with a number a row, or a list of equally many numbers in every row."""
    per_token: tuple[str, ...] = ()
    """Columns with a number for each learned token. Only where there is a single text and no choice."""

    @property
    def reference(self) -> tuple[str, ...]:
        """Those columns that hold log-probabilities under a reference model."""
        columns = (*self.numbers, *self.per_token)
        return tuple(name for name in columns if name in (*REFERENCE_SUMS, REFERENCE_TOKENS))


def ids_column(text: str) -> str:
    """Return the column, and the field of an Example, with the sampled token ids of a text."""
    return "token_ids" if text == "completion" else f"{text}_token_ids"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a train stage minimises. Each loss is a subclass whose fields are its settings."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = Reads()


@dataclass(frozen=True, slots=True)
class Supervised(Loss):
    """Next-token cross-entropy on the completion's tokens, the end token included, prompt tokens masked.

    Over a batch of rows r with weight w_r and T_r learned tokens::

        loss = sum_r w_r sum_t -log p(token_rt | before) / sum_r w_r T_r
    """

    name: ClassVar[str] = "supervised"


def supervised() -> Supervised:
    """Return the settings of ordinary fine-tuning."""
    return Supervised()


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviouralCloning(Loss):
    """Negative log-likelihood of whole completions, averaged over rows: ReST's BC loss (arXiv:2308.08998).

    ::

        loss = kept_share * sum_r w_r sum_t -log p(token_rt | before) / sum_r w_r

    Long completions count for more than in `Supervised`, which averages over tokens.
    """

    name: ClassVar[str] = "bc"
    kept_share: float = 1.0
    """1: the mean over the rows that a filter kept, as most trainers do. The share of the rows that it kept:
    the mean over all rows before the filter, as the paper's expectation has it. In ``(0, 1]``."""

    def __post_init__(self) -> None:
        if not 0 < self.kept_share <= 1:
            raise SettingError(f"kept_share is {self.kept_share}; expected above 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold(Loss):
    """GOLD (Pang & He 2021, arXiv:2009.07839) with ReST's unrolled reward (arXiv:2308.08998, section 4).

    With p the policy and p_0 the reference, a policy trained by maximum likelihood (stopped gradients in
    brackets)::

        loss = mean_t [max(p(y_t), u)] [sum_{i = t .. t+k-1} r_i - b] -log p(y_t)

    where r_i is p_0(y_i) or log p_0(y_i). ReST gives k = 5; u, b and which r are not stated.
    """

    name: ClassVar[str] = "gold"
    reads: ClassVar[Reads] = Reads(per_token=(REFERENCE_TOKENS,))
    unroll: int = 5
    """k, the tokens whose rewards are summed, the token itself first. Count, >= 1."""
    lower_bound: float = 0.1
    """u, the smallest importance weight of a token. In ``[0, 1]``. Ours."""
    baseline: float = 0.0
    """b, taken off every sum of rewards. Ours."""
    reward: Literal["probability", "logprob"] = "probability"
    """Probability: rewards in [0, 1], so that every token is pulled up (GOLD-p). Logprob: rewards below 0
    (GOLD-s), which want a baseline below 0."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        if self.unroll < 1:
            faults.append(f"unroll is {self.unroll}; expected at least 1")
        if not 0 <= self.lower_bound <= 1:
            faults.append(f"lower_bound is {self.lower_bound}; expected 0 to 1")
        if not math.isfinite(self.baseline):
            faults.append(f"baseline is {self.baseline}; expected a finite number")
        if self.reward not in ("probability", "logprob"):
            faults.append(f"reward is {self.reward!r}; expected probability or logprob")
        if faults:
            raise SettingError.of_all(faults)


@dataclass(frozen=True, slots=True)
class ActorCritic(Loss):
    """Offline actor-critic (Mathieu et al. 2021) as in ReST: ``loss = mean_t -A_t log p(y_t)``.

    The rows bring ``advantages``: A_t = G_t - V(s_t), return minus state value, from whoever estimates them.
    """

    name: ClassVar[str] = "actor-critic"
    reads: ClassVar[Reads] = Reads(per_token=("advantages",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bvmpo(Loss):
    """V-MPO (Song et al. 2020, arXiv:1909.12238) near the behaviour policy, as in ReST (arXiv:2308.08998).

    Over the tokens of a batch whose advantage is in the upper half, psi = softmax(A / eta); the reference is
    the behaviour policy p_0::

        loss = -sum_t psi_t log p(y_t) + kl(progress) * mean_t (log p_0(y_t) - log p(y_t))

    The last term estimates KL(p_0 || p) at tokens that p_0 wrote; its gradient is unbiased on such rows.
    The rows bring ``advantages``.
    """

    name: ClassVar[str] = "bvmpo"
    reads: ClassVar[Reads] = Reads(per_token=("advantages", REFERENCE_TOKENS))
    temperature: float = 0.0
    """eta. 0: for each batch that which minimises the temperature loss
    ``eta * epsilon + eta * log(mean_t exp(A_t / eta))``; the paper steps towards it by gradient."""
    epsilon: float = 0.1
    """Bound in the temperature loss. Above 0. Ours; the paper gives none."""
    kl_start: float = 1.0
    """Weight of the KL term at the first step (ReST)."""
    kl_end: float = 1e-5
    """Its weight at the end of training (ReST)."""
    annealing: Literal["linear", "geometric"] = "linear"
    """How the weight falls in between. Ours; the paper does not say."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not self.temperature >= 0:
            faults.append(f"temperature is {self.temperature}; expected 0 (solved for) or a number above")
        if not self.epsilon > 0:
            faults.append(f"epsilon is {self.epsilon}; expected above 0")
        if not self.kl_start >= self.kl_end >= 0:
            faults.append(
                f"kl_start and kl_end are {self.kl_start}, {self.kl_end}; expected start >= end >= 0"
            )
        if self.annealing not in ("linear", "geometric"):
            faults.append(f"annealing is {self.annealing!r}; expected linear or geometric")
        elif self.annealing == "geometric" and self.kl_end <= 0:
            faults.append("kl_end is 0; a geometric fall never reaches it")
        if faults:
            raise SettingError.of_all(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference(Loss):
    """DPO (Rafailov et al. 2023, arXiv:2305.18290), SPIN (Chen et al. 2024, arXiv:2401.01335): one formula.

    With p the policy, p_0 the reference, log-probabilities summed over a text's tokens and its end::

        d    = beta * [(log p(chosen) - log p_0(chosen)) - (log p(rejected) - log p_0(rejected))]
        loss = mean_r l(d_r) + nll_weight * nll(chosen_r)       l(d) = -log sigmoid(d), or max(0, 1 - d)

    SPIN: chosen is the data's answer, rejected the policy's own sample, the reference is the policy at the
    start of this training, and beta is called lambda. V-STaR's verifier: right and wrong samples, the
    reference is the supervised generator. DPO + NLL as in iterative reasoning preference optimisation
    (arXiv:2404.19733) and LbT: ``nll_weight`` above 0.
    """

    name: ClassVar[str] = "preference"
    reads: ClassVar[Reads] = Reads(texts=("chosen", "rejected"), numbers=REFERENCE_SUMS)
    beta: float = 0.1
    """Above 0. SPIN raises it to 5.0 in its last iteration."""
    shape: Literal["logistic", "hinge"] = "logistic"
    """l. Both are in SPIN's code, and the logistic one is what was run."""
    nll_weight: float = 0.0
    """Weight of the chosen text's negative log-likelihood. >= 0; LbT prints 50 for arXiv:2406.14629."""
    nll_per: Literal["token", "text"] = "token"
    """Whether that likelihood is divided by the text's tokens. LbT does not say; the paper that it cites
    for the term divides."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not (math.isfinite(self.beta) and self.beta > 0):
            faults.append(f"beta is {self.beta}; expected a number above 0")
        if self.shape not in ("logistic", "hinge"):
            faults.append(f"shape is {self.shape!r}; expected logistic or hinge")
        if not (math.isfinite(self.nll_weight) and self.nll_weight >= 0):
            faults.append(f"nll_weight is {self.nll_weight}; expected 0 or more")
        if self.nll_per not in ("token", "text"):
            faults.append(f"nll_per is {self.nll_per!r}; expected token or text")
        if faults:
            raise SettingError.of_all(faults)


@dataclass(frozen=True, slots=True)
class RewardPairs(Loss):
    """Bradley-Terry over pairs: how the head of a reward model is trained (Ouyang et al. 2022, eq. 1).

    With r the head's only label, read off the end token of prompt and text::

        loss = mean_r -log sigmoid(r(chosen) - r(rejected))

    A causal start gets such a head, of zeros, so that the first loss is ln 2; a reward model goes on with its
    own. Only differences within a pair count, so scores of different problems need not be comparable.

    References:
        arXiv:2203.02155, section 3.5; Stiennon et al. (2020), arXiv:2009.01325, section 3.4.
    """

    name: ClassVar[str] = "reward-pairs"
    reads: ClassVar[Reads] = Reads(texts=("chosen", "rejected"))


_SOFT_LABELS = Reads(texts=(), choices=True, numbers=("probabilities",))
Head = Literal["none", "zeros", "words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLoss(Loss):
    """A loss over the probabilities of a few choices: those of texts, or of a classification head."""

    reads: ClassVar[Reads] = _SOFT_LABELS
    head: Head = "none"
    """None: choices are texts that may follow the prompt; of a start that has a head, its classes. Zeros,
    words: start a head on a causal model, one class a choice, in their order: of zeros (released code), or of
    the output rows of the choices' first tokens (paper, as remembered)."""

    @property
    def head_fault(self) -> str:
        """What is wrong with ``head``; empty where nothing is."""
        known = ("none", "zeros", "words")
        return "" if self.head in known else f"head is {self.head!r}; expected one of {', '.join(known)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Xent(ClassLoss):
    """Cross-entropy of soft labels w and the model's choice probabilities: ``mean_r -sum_c w_rc log p_rc``.

    Weak-to-strong's naive loss (arXiv:2312.09390), and the evaluator's L_cls-xent (arXiv:2310.10047, eq. 9)
    with labels of 0 and 1.
    """

    name: ClassVar[str] = "xent"
    renormalised: bool = True
    """Over the choices, as a classification head's. False: a choice's probability among all texts, as eq. 9
    of the evaluator prints it; then the choices also become more likely than other words."""

    def __post_init__(self) -> None:
        faults = [self.head_fault] if self.head_fault else []
        if self.head != "none" and not self.renormalised:
            faults.append(f"renormalised is False and head is {self.head!r}; a head knows its classes alone")
        if faults:
            raise SettingError.of_all(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConf(ClassLoss):
    """Weak-to-strong's auxiliary confidence loss (arXiv:2312.09390), for two choices.

    With a = a(progress), w the weak labels, and h the model's own predictions, hardened at that threshold of
    the batch which gives the second choice the share that it has in the weak labels::

        loss = mean_r -sum_c ((1 - a) w_rc + a h_rc) log p_rc

    No gradient goes through h or the threshold.
    """

    name: ClassVar[str] = "logconf"
    alpha: float = 0.5
    """The largest a. In ``[0, 1]``. The paper has 0.75 for its largest students."""
    warmup_share: float = 0.2
    """Share of training over which a rises (paper). The released code: 0.1."""
    ramp: Literal["linear", "released"] = "linear"
    """Linear: from 0 to alpha (the paper; the code with its pull request 33). Released: alpha times progress
    until ``warmup_share``, then a jump to alpha."""
    ties: Literal["label", "first"] = "label"
    """Equal predictions at the threshold: those that the weak labels favour more become the first choice, so
    that the share holds. First: all of them do, as in the released code."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        for name in ("alpha", "warmup_share"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                faults.append(f"{name} is {value}; expected 0 to 1")
        if self.ramp not in ("linear", "released"):
            faults.append(f"ramp is {self.ramp!r}; expected linear or released")
        if self.ties not in ("label", "first"):
            faults.append(f"ties is {self.ties!r}; expected label or first")
        if self.head_fault:
            faults.append(self.head_fault)
        if faults:
            raise SettingError.of_all(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product(ClassLoss):
    """Weak-to-strong's ``product`` loss: cross-entropy with a target proportional to p^beta w^alpha.

    The target is a constant for the gradient. From the released code alone.
    """

    name: ClassVar[str] = "product"
    alpha: float = 1.0
    """Exponent of the weak labels. >= 0."""
    beta: float = 1.0
    """Exponent of the model's own probabilities. >= 0; at 0, with alpha 1, the loss is `Xent`."""

    def __post_init__(self) -> None:
        faults = [
            f"{name} is {getattr(self, name)}; expected a finite number of at least 0"
            for name in ("alpha", "beta")
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0)
        ]
        if self.head_fault:
            faults.append(self.head_fault)
        if faults:
            raise SettingError.of_all(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorMargin(Loss):
    """The evaluator's L_cls-margin (arXiv:2310.10047, eq. 8) over a right and a wrong solution of a problem.

    With s the probability of the first choice ("correct") among the choices::

        loss = mean_r max(0, log s(rejected) - log s(chosen) + margin)
    """

    name: ClassVar[str] = "evaluator-margin"
    reads: ClassVar[Reads] = Reads(texts=("chosen", "rejected"), choices=True)
    margin: float = 0.5
    """lambda, in nats. >= 0. Ours; the paper gives none."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise SettingError(f"margin is {self.margin}; expected a number of at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """How a train stage walks downhill. AdamW, linear warm-up, then the schedule, gradients clipped."""

    learning_rate: float = 1e-3
    """Peak learning rate. Ours: for the built-in models; use about 1e-5 from 100 M parameters on."""
    batch_rows: int = 32
    """Rows in an optimizer step. Count, >= 1."""
    micro_batch_rows: int = 0
    """Rows in memory at once; 0: as ``batch_rows``. Gradients are summed over micro-batches."""
    warmup_share: float = 0.05
    """Share of all steps with rising learning rate. In ``[0, 1]``."""
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    """What follows the warm-up; linear and cosine fall to 0 one step after the last."""
    weight_decay: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    clip_norm: float = 1.0
    """Largest norm of the gradient of a step; 0: not clipped."""
    max_length: int = 2048
    """Tokens of prompt and completion; longer rows are dropped and counted. Never cut."""
    lora_rank: int = 0
    """Rank of low-rank adapters on all linear layers, merged at the end; 0: all weights are trained."""
    lora_alpha: float = 32.0

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            faults.append(f"learning_rate is {self.learning_rate}; expected a number above 0")
        if self.batch_rows < 1:
            faults.append(f"batch_rows is {self.batch_rows}; expected at least 1")
        if self.micro_batch_rows < 0 or self.micro_batch_rows > self.batch_rows:
            faults.append(f"micro_batch_rows is {self.micro_batch_rows}; expected 0 to batch_rows")
        if not 0 <= self.warmup_share <= 1:
            faults.append(f"warmup_share is {self.warmup_share}; expected 0 to 1")
        if self.clip_norm < 0:
            faults.append(f"clip_norm is {self.clip_norm}; expected 0 or more")
        if self.weight_decay < 0:
            faults.append(f"weight_decay is {self.weight_decay}; expected 0 or more")
        for name in ("beta_1", "beta_2"):
            if not 0 <= (value := getattr(self, name)) < 1:
                faults.append(f"{name} is {value}; expected at least 0 and below 1")
        if self.lora_alpha <= 0:
            faults.append(f"lora_alpha is {self.lora_alpha}; expected above 0")
        if self.max_length < 2:
            faults.append(f"max_length is {self.max_length}; expected at least 2")
        if self.lora_rank < 0:
            faults.append(f"lora_rank is {self.lora_rank}; expected 0 or more")
        if faults:
            raise SettingError.of_all(faults)
