"""The model that the classifier's options name: on the agent, and with its tokenizer and labels here."""

from __future__ import annotations

from pathlib import Path

from function.cli.vocab import GUIDE_LABELS, guide_signature, read_vocab, tokenizer
from function.core.classifier import Classifier
from function.core.tokens import Encoder
from function.load import extras_of
from vaccel_common import streams
from vaccel_common.digestfile import digest_beside
from vaccel_common.log import escaped
from vaccel_common.modelfile import Extras, ModelFileError, program_kind
from vaccel_rpc.negotiation import DialectChoice
from vaccel_rpc.pool.targets import Target
from vaccel_rpc.registering import ModelSource
from vaccel_rpc.remote import RemoteModel


def open_model(
    model: Path, vocab: Path | None, agents: tuple[Target, ...], dialect: DialectChoice
) -> tuple[RemoteModel, Classifier]:
    """The model on the agent, not connected yet, and a classifier that it runs.

    ``vocab`` is for a model without a tokenizer; for another, a note on standard error says that it
    is ignored. Raises `ModelFileError`, `function.cli.vocab.VocabError`, ``OSError``.
    """
    extras = extras_of(model)
    remote = RemoteModel(agents, _source(model, extras), dialect=dialect)
    if extras.tokenizer is not None:
        if vocab is not None:
            streams.tell(escaped(f"note: {model.name} has its own tokenizer; -v {vocab} is ignored"))
        return remote, Classifier.of_file(extras, remote, blank=True)
    return remote, _foreign(model, vocab, extras, remote)


def _source(model: Path, extras: Extras) -> ModelSource:
    """By its digest, and by its bytes where they are here."""
    if program_kind(model) is not None:
        digest = digest_beside(model)
        return ModelSource(f"sha256:{digest}" if digest else None, model)
    if extras.model and "sha256" in extras.model:
        return ModelSource(f"sha256:{extras.model['sha256']}")
    raise ModelFileError(f"{model} holds no program; a model made by torch.jit.save, or its tokenizer file, is needed")


def _foreign(model: Path, vocab: Path | None, extras: Extras, remote: RemoteModel) -> Classifier:
    if vocab is None:
        raise ModelFileError(f"{model} has no tokenizer: give its vocabulary with -v")
    tokens = read_vocab(vocab)
    signature = extras.signature or guide_signature(model.stem, tokens["[PAD]"])
    return Classifier(Encoder(tokenizer(tokens), signature), signature, extras.labels or GUIDE_LABELS, remote, blank=True)
