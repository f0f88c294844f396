"""Guard models by hub id: Qwen3Guard, Llama Guard, ShieldGemma, Granite Guardian.

Each family has its own way of being asked and of answering; the tables say which of its categories
are which of ours. The way is told from the name (``hf:Qwen/Qwen3Guard-Gen-0.6B``) or given. None of
these was run where this was written: there was neither a hub nor room for them. What was run is the
whole code on tiny models with the same interface (``tests/unit/safety/test_hub.py``).
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, get_args

from chopmark.errors import GuardFailed
from chopmark.safety.hub import from_hub, model_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Family", "HubGuard", "TextModel", "family_of", "load_text_model"]

Family = Literal["qwen3guard", "llama-guard", "shieldgemma", "granite-guardian"]
#: What a guard that only says "unsafe" counts: past every block threshold, short of certainty.
_UNSAFE, _CONTROVERSIAL, _SAFE = 0.9, 0.48, 0.05
_LONGEST: Final[int] = 4096


class TextModel(Protocol):
    """A guard that is asked about the uncertain band.

    Attributes:
        model: ``id@digest``.
        evaluates: The policy categories that it can score.
    """

    model: str
    evaluates: tuple[str, ...]

    def scores(self, text: str, wanted: Sequence[str], /) -> Mapping[str, float]:
        """Return a score in 0..1 for each wanted category, all of them in ``evaluates``."""
        ...


#: Qwen3Guard's categories (model card of Qwen/Qwen3Guard-Gen-8B, 2025-09).
_QWEN: Final[dict[str, tuple[str, ...]]] = {
    "Violent": ("violence", "illicit", "extremism"),
    "Non-violent Illegal Acts": ("illicit",),
    "Sexual Content or Sexual Acts": ("sexual",),
    "Suicide & Self-Harm": ("self-harm",),
    "Unethical Acts": ("hate", "harassment", "deepfake"),
    "Politically Sensitive Topics": ("disinformation",),
    "Copyright Violation": ("ip",),
}
#: MLCommons hazards as Llama Guard 3 numbers them (model card of meta-llama/Llama-Guard-3-8B).
_LLAMA: Final[dict[str, tuple[str, ...]]] = {
    "S1": ("violence", "extremism"),
    "S2": ("illicit",),
    "S3": ("sexual",),
    "S5": ("harassment",),
    "S8": ("ip",),
    "S9": ("illicit", "extremism"),
    "S10": ("hate",),
    "S11": ("self-harm",),
    "S12": ("sexual",),
    "S13": ("disinformation",),
}
#: ShieldGemma's guidelines (model card of google/shieldgemma-2b), in our own shortened words.
_GEMMA: Final[dict[str, str]] = {
    "sexual": "No Sexually Explicit Information: the prompt shall not ask for content with explicit or "
    "graphic sexual acts.",
    "hate": "No Hate Speech: the prompt shall not ask for content that targets identity or protected "
    "attributes, with dehumanizing or demeaning statements or calls for violence or exclusion.",
    "harassment": "No Harassment: the prompt shall not ask for content that is malicious, intimidating, "
    "bullying or abusive toward a person.",
    "illicit": "No Dangerous Content: the prompt shall not ask for help with harming oneself or others, "
    "such as building weapons or committing crimes.",
    "self-harm": "No Dangerous Content: the prompt shall not ask for content that promotes suicide or "
    "self-harm.",
    "violence": "No Violent Content: the prompt shall not ask for gratuitous gore or violence.",
}
#: Granite Guardian's risks (model card of ibm-granite/granite-guardian-3.2-5b).
_GRANITE: Final[dict[str, str]] = {
    "sexual": "sexual_content",
    "violence": "violence",
    "hate": "social_bias",
    "harassment": "profanity",
    "illicit": "unethical_behavior",
    "self-harm": "harm",
    "extremism": "harm",
}


def family_of(name: str) -> Family:
    """Tell from a model's name how it wants to be asked.

    >>> family_of("hf:Qwen/Qwen3Guard-Gen-0.6B")
    'qwen3guard'

    Raises:
        GuardFailed: None of the four families.
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for family in get_args(Family):
        if family.replace("-", "") in plain:
            found: Family = family
            return found
    raise GuardFailed(
        f"{name} is of no known family of guard models", hint=", ".join(get_args(Family))
    )


@dataclass(frozen=True, slots=True)
class _Loaded:
    tokenizer: Any
    model: Any


class HubGuard:
    """One of the four families behind :class:`TextModel`. One text at a time; safe for threads."""

    def __init__(self, name: str, family: Family, tokenizer: Any, model: Any) -> None:
        """Take what transformers loaded; use :func:`load_text_model`.

        Raises:
            GuardFailed: The tokenizer has no chat template, and this family needs one.
        """
        self._loaded, self._family = _Loaded(tokenizer, model), family
        self._lock = threading.Lock()
        self.model = model_name(name, model)
        tables: dict[Family, Sequence[Sequence[str]]] = {
            "qwen3guard": list(_QWEN.values()),
            "llama-guard": list(_LLAMA.values()),
            "shieldgemma": [list(_GEMMA)],
            "granite-guardian": [list(_GRANITE)],
        }
        self.evaluates = tuple(dict.fromkeys(c for group in tables[family] for c in group))
        if family != "shieldgemma" and not tokenizer.chat_template:
            raise GuardFailed(f"{name} has no chat template", hint="is this the guard model?")

    def scores(self, text: str, wanted: Sequence[str], /) -> Mapping[str, float]:
        """Ask the model.

        Raises:
            GuardFailed: It answered in no form that its card describes; that is no "safe".
        """
        with self._lock:
            match self._family:
                case "qwen3guard":
                    found = read_qwen(self._answer(text))
                case "llama-guard":
                    found = read_llama(self._answer(text))
                case "shieldgemma":
                    found = {name: self._yes(_gemma_prompt(text, name)) for name in wanted}
                case "granite-guardian":
                    risks = {_GRANITE[name] for name in wanted}
                    shares = {risk: self._yes(self._granite(text, risk)) for risk in risks}
                    found = {name: shares[_GRANITE[name]] for name in wanted}
        return {name: found.get(name, _SAFE) for name in wanted}

    def _chat(self, text: str, **options: Any) -> str:
        made: str = self._loaded.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            **options,
        )
        return made

    def _granite(self, text: str, risk: str) -> str:
        return self._chat(text, guardian_config={"risk_name": risk})

    def _ids(self, prompt: str) -> Any:
        import torch

        # Templates write their special tokens themselves.
        bare = self._family != "shieldgemma"
        ids = self._loaded.tokenizer(prompt, add_special_tokens=not bare)["input_ids"]
        if len(ids) > _LONGEST:  # an answer about a part of it would be none
            raise GuardFailed(f"the text has {len(ids)} tokens, more than {_LONGEST}")
        return torch.tensor([ids], device=self._loaded.model.device)

    def _answer(self, text: str) -> str:
        import torch

        ids = self._ids(self._chat(text))
        with torch.inference_mode():
            made = self._loaded.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=64,
                do_sample=False,
                pad_token_id=self._loaded.tokenizer.eos_token_id,
            )
        answer: str = self._loaded.tokenizer.decode(
            made[0, ids.shape[1] :], skip_special_tokens=True
        )
        return answer

    def _yes(self, prompt: str) -> float:
        """Return the share of "Yes" against "No" as the next token."""
        import torch

        tokens = [self._token("Yes"), self._token("No")]
        ids = self._ids(prompt)
        with torch.inference_mode():
            logits = self._loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return float(torch.softmax(logits[0, -1, tokens].float(), dim=0)[0])

    def _token(self, word: str) -> int:
        ids = self._loaded.tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise GuardFailed(
                f"{self.model} has no token {word!r}", hint="is this the guard model?"
            )
        return int(ids[0])


def load_text_model(name: str, *, family: Family | None = None) -> HubGuard:
    """Load a guard model.

    Args:
        name: ``hf:org/name`` or a folder.
        family: How it is asked; told from the name when it is not given.

    Raises:
        GuardFailed: No such family, or it does not load.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chosen = family or family_of(name)
    tokenizer, model = from_hub(
        name,
        AutoTokenizer.from_pretrained,
        lambda where, **options: AutoModelForCausalLM.from_pretrained(
            where, use_safetensors=True, dtype="auto", **options
        ),
    )
    return HubGuard(name, chosen, tokenizer, model.eval())


def read_qwen(answer: str) -> dict[str, float]:
    """Read Qwen3Guard's answer: ``Safety: Unsafe`` and ``Categories: Violent, ...``.

    Raises:
        GuardFailed: No such line.
    """
    safety = re.search(r"Safety:\s*(Safe|Unsafe|Controversial)\b", answer)
    if safety is None:
        raise GuardFailed("the guard model gave no answer that can be read", hint=answer[:80])
    if safety[1] == "Safe":
        return {}
    score = _UNSAFE if safety[1] == "Unsafe" else _CONTROVERSIAL
    named = {ours for theirs, group in _QWEN.items() if theirs in answer for ours in group}
    # Unsafe for a reason that we have no name for: every category that it may stand for.
    every = {ours for group in _QWEN.values() for ours in group}
    return dict.fromkeys(named or every, score)


def read_llama(answer: str) -> dict[str, float]:
    """Read Llama Guard's answer: ``safe``, or ``unsafe`` and a line like ``S1,S10``.

    Raises:
        GuardFailed: Neither.
    """
    lines = answer.strip().splitlines() or [""]
    if lines[0].strip() == "safe":
        return {}
    if lines[0].strip() != "unsafe":
        raise GuardFailed("the guard model gave no answer that can be read", hint=answer[:80])
    codes = re.findall(r"S\d{1,2}", " ".join(lines[1:]))
    named = {ours for code in codes for ours in _LLAMA.get(code, ())}
    every = {ours for group in _LLAMA.values() for ours in group}
    return dict.fromkeys(named or every, _UNSAFE)


def _gemma_prompt(text: str, category: str) -> str:
    """ShieldGemma is asked in this form (its model card); the answer is the next token."""
    return (
        "You are a policy expert trying to help determine whether a user\nprompt is in violation of "
        "the defined safety policies.\n\n<start_of_turn>\nHuman Question: "
        f"{text.strip()}\n<end_of_turn>\n\nOur safety principle is defined in the below:\n\n"
        f"* {_GEMMA[category]}\n\nDoes the human question violate the above principle? Your answer "
        "must start\nwith 'Yes' or 'No'. And then walk through step by step to be sure we answer\n"
        "correctly.\n\n"
    )
