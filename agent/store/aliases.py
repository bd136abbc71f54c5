"""The store's models by the names of aliases, which follow their file while the agent runs.

A change takes effect only when its models are in memory. One that would put a model with another
tokenizer, other labels or another signature behind clients that tokenize is refused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.store.alias import Alias, Share, Targets
from agent.store.aliasfile import AliasFile, AliasFileError, AliasSpec, ShareSpec
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_common.interface import ModelInterface
from vaccel_rpc.errors import FailedPrecondition, NotFound, RpcError

_log = logging.getLogger("agent.aliases")

#: Seconds between looks at the file, and between attempts at a change that was refused.
_WATCH_S, _RETRY_S = 1.0, 5.0
#: Seconds without a run after which a model that an alias has left leaves memory.
_LEAVE_S = 5.0


class AliasObserver(Protocol):
    """What counts changes."""

    def alias_changed(self, alias: str, result: str) -> None:
        """An alias was changed, or a change was refused; ``result``: changed, refused."""


@dataclass(frozen=True)
class Refusal:
    """A change that was not made.

    ``reasons``: of tokenizer, labels, signature those that differ; else ``missing``, ``load`` or
    ``file``.
    """

    spec: AliasSpec | None
    reasons: tuple[str, ...]
    message: str
    at: float


class _RefusedChange(Exception):
    def __init__(self, reasons: Sequence[str], message: str) -> None:
        super().__init__(message)
        self.reasons, self.message = tuple(reasons), message


class Aliases:
    """Aliases over a store. ``path``: their file, which need not exist; None: there are none."""

    def __init__(self, store: Store, path: Path | None, observer: AliasObserver) -> None:
        self._store, self._observer = store, observer
        self._file = AliasFile(path) if path else None
        self._specs: dict[str, AliasSpec] = {}
        self._aliases: dict[str, Alias] = {}
        self._preloaded: set[str] = set()
        #: By alias; the file's own under an empty name.
        self.refusals: dict[str, Refusal] = {}
        #: Models that no alias stands for any more, a reference of each, until they are idle.
        self._leaving: list[StoredModel] = []

    @property
    def all(self) -> list[Alias]:
        """The aliases that are served."""
        return list(self._aliases.values())

    async def by_paths(self, paths: Sequence[str], interface: ModelInterface) -> StoredModel | Alias:
        """The alias or model that a client names; the caller holds a reference.

        An alias has precedence over a file of that name without its suffix. ``interface``: what the
        client has of it. Raises what `Store.by_paths` does, and `FailedPrecondition` where a model
        that the client names has another interface.
        """
        alias = self._named(paths[0]) if len(paths) == 1 else None
        if alias:
            self._check_client(alias.name, interface, alias.interface)
            alias.users += 1
            return alias
        model = await self._store.by_paths(paths)
        try:
            if interface != ModelInterface():
                self._check_client(model.name, interface, await self._store.interface(model.digest))
        except BaseException:
            self._store.release(model)
            raise
        return model

    def release(self, registered: StoredModel | Alias) -> None:
        """Drops a reference that `by_paths` gave."""
        if isinstance(registered, Alias):
            registered.users -= 1
        else:
            self._store.release(registered)

    async def preload(self, names: Sequence[str]) -> list[Alias]:
        """Loads the models of those names that are aliases, and from now on loads what they change
        to before they change. Raises `RpcError`.
        """
        aliases = [alias for name in names if (alias := self._named(name))]
        for alias in aliases:
            self._preloaded.add(alias.name)
            await self.load(alias)
        return aliases

    async def load(self, alias: Alias) -> None:
        """Loads the models of an alias. Raises `RpcError`."""
        for model in alias.targets.models:
            await self._store.form(model)

    async def watch(self) -> None:
        """Follows the file, for ever."""
        while self._file:
            await asyncio.sleep(_WATCH_S)
            try:
                await self.refresh()
            except Exception:  # noqa: BLE001 the next look may succeed
                _log.exception("following the aliases failed")

    async def refresh(self) -> None:
        """Reads the file if it has changed, and makes the changes that it asks for."""
        await self._read()
        for name, spec in self._specs.items():
            await self._follow(name, spec)
        for name in [name for name in self._aliases if name not in self._specs and not self._aliases[name].users]:
            self._leaving += self._aliases.pop(name).targets.models
            _log.info("Alias %s has ended", name)
        for name in self.refusals.keys() - self._specs.keys() - {""}:
            del self.refusals[name]
        await self._send_off()

    def _named(self, name: str) -> Alias | None:
        if name not in self._specs:
            return None
        alias, refusal = self._aliases.get(name), self.refusals.get(name)
        if alias is None and refusal:
            raise NotFound(f"the alias {name} cannot be used: {refusal.message}")
        return alias

    def _check_client(self, name: str, interface: ModelInterface, own: ModelInterface) -> None:
        if differing := interface.contradictions(own):
            raise FailedPrecondition(
                f"this client differs from {name} in {', '.join(differing)}: it needs the tokenizer file of that model"
            )

    async def _read(self) -> None:
        try:
            specs = await asyncio.to_thread(self._file.read) if self._file else None
        except AliasFileError as error:
            self._refuse("", None, ("file",), f"{self._file and self._file.path}: {error}")
            return
        if specs is not None:
            self._specs = specs
            self.refusals.pop("", None)

    async def _follow(self, name: str, spec: AliasSpec) -> None:
        alias, refusal = self._aliases.get(name), self.refusals.get(name)
        if alias and alias.spec == spec:
            self.refusals.pop(name, None)
            return
        if refusal and refusal.spec == spec and time.monotonic() - refusal.at < _RETRY_S:
            return
        try:
            await self._change(name, spec, alias)
        except _RefusedChange as error:
            self._refuse(name, spec, error.reasons, error.message)
        else:
            self.refusals.pop(name, None)
            self._observer.alias_changed(name, "changed")
            _log.info("Alias %s is %s", name, _described(self._aliases[name]))

    async def _change(self, name: str, spec: AliasSpec, alias: Alias | None) -> None:
        """Makes the alias what ``spec`` says. Raises `_RefusedChange`, and then nothing has changed."""
        models: dict[str, StoredModel] = {}
        try:
            interface = await self._checked(spec, alias.interface if alias else None)
            for digest in spec.digests:
                models[digest] = await self._model(digest)
                if (alias and alias.users) or name in self._preloaded:
                    await self._loaded(models[digest])
        except BaseException:
            for model in models.values():
                self._store.release(model)
            raise
        targets = Targets(models[spec.digest], _share(spec.canary, models), _share(spec.shadow, models))
        if alias:
            self._leaving += alias.targets.models
            alias.spec, alias.targets = spec, targets
        else:
            self._aliases[name] = Alias(name, interface, spec, targets, self._other)

    async def _checked(self, spec: AliasSpec, expected: ModelInterface | None) -> ModelInterface:
        """The one interface of all the models. Raises `_RefusedChange`."""
        interfaces = {digest: await self._interface(digest) for digest in spec.digests}
        expected = expected or interfaces[spec.digest]
        for digest, interface in interfaces.items():
            if reasons := interface.differences(expected):
                raise _RefusedChange(
                    reasons,
                    f"sha256:{digest} differs in {', '.join(reasons)} from the models that this alias had, by which clients"
                    " tokenize and name labels: it needs a new revision of the function, and an alias of another name",
                )
        return expected

    async def _interface(self, digest: str) -> ModelInterface:
        try:
            return await self._store.interface(digest)
        except RpcError as error:
            raise _RefusedChange(["missing"], error.message) from None

    async def _model(self, digest: str) -> StoredModel:
        try:
            return await self._store.by_paths([f"sha256:{digest}"])
        except RpcError as error:
            raise _RefusedChange(["missing"], error.message) from None

    async def _loaded(self, model: StoredModel) -> None:
        try:
            await self._store.form(model)
        except RpcError as error:
            raise _RefusedChange(["load"], f"{model} cannot be loaded: {error.message}") from None

    async def _other(self, alias: Alias, digest: str) -> StoredModel:
        """A model that the alias has left, or that it stands for on another agent already."""
        model = next((model for model in self._leaving if model.digest == digest), None)
        if model:
            model.used = time.monotonic()
            return model
        if (await self._store.interface(digest)).differences(alias.interface):
            raise FailedPrecondition(f"sha256:{digest} is not a model of the alias {alias.name}")
        model = await self._store.by_paths([f"sha256:{digest}"])
        model.used = time.monotonic()
        self._leaving.append(model)
        return model

    async def _send_off(self) -> None:
        """Lets the models go that no alias stands for and that have been idle."""
        before = time.monotonic() - _LEAVE_S
        idle = [model for model in self._leaving if model.used < before]
        self._leaving = [model for model in self._leaving if model not in idle]
        for model in idle:
            self._store.release(model)
            if not model.references and not model.pinned:
                await self._store.unload(model)

    def _refuse(self, name: str, spec: AliasSpec | None, reasons: tuple[str, ...], message: str) -> None:
        known = self.refusals.get(name)
        self.refusals[name] = Refusal(spec, reasons, message, time.monotonic())
        if known and (known.spec, known.message) == (spec, message):
            return
        self._observer.alias_changed(name, "refused")
        if not name:
            _log.error("The aliases stay as they are: %s", message)
        elif alias := self._aliases.get(name):
            _log.error("Alias %s stays %s: %s", name, _described(alias), message)
        else:
            _log.error("Alias %s cannot be used: %s", name, message)


def _share(spec: ShareSpec | None, models: Mapping[str, StoredModel]) -> Share | None:
    return Share(models[spec.digest], spec.percent) if spec else None


def _described(alias: Alias) -> str:
    targets = alias.targets
    said = [str(targets.stable)]
    for role, share in (("canary", targets.canary), ("shadow", targets.shadow)):
        if share:
            said.append(f"{role} {share.model} {share.percent:g} %")
    return ", ".join(said)
