"""A person's vault and rules, and from them a sanitiser for each conversation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from renga.client.sanitisation.conversation import Conversation
from renga.client.sanitisation.decisions import Decided
from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.entities import QUASI
from renga.client.sanitisation.plugged import Plugged, plugged
from renga.client.sanitisation.rules import Rule, Rules, read_rules, write_rules
from renga.client.sanitisation.sanitiser import Sanitiser
from renga.client.sanitisation.vault import Vault
from renga.errors import UsageError
from renga.protocol.key_files import write_secret


@dataclass
class Desk:
    """A person's vault and rules, opened when they are needed: a throwaway conversation needs no vault."""

    path: Path
    names: bool = True
    rules: Rules = field(init=False)
    _read: int = 0
    _vault: Vault | None = None
    _decided: Decided | None = None
    _plugged: tuple[Plugged, ...] | None = None

    def __post_init__(self) -> None:
        self.reread()

    @property
    def rules_file(self) -> Path:
        return self.path.with_name("sanitisation.toml")

    @property
    def vault(self) -> Vault:
        if self._vault is None:
            self._vault = Vault(self.path, self.rules.keep_days)
        return self._vault

    def sanitiser(self, conversation: str | None) -> Sanitiser:
        """Of the conversation of this name in the vault; of one that nobody can go on with for None."""
        if conversation == "":
            raise UsageError("a conversation needs a name")
        return self.of(Conversation() if conversation is None else self.vault.conversation(conversation))

    def of(self, conversation: Conversation) -> Sanitiser:
        """Of a conversation that is open. Rules that were changed meanwhile, by whomever, hold from now
        on."""
        if self._stamp() != self._read:
            self.reread()
        if self._decided is None:
            self._decided = Decided.of(self.rules, lambda sealed: self.vault.open_value(sealed))
        also = [kind for kind in QUASI if self.rules.rule(kind) is not Rule.ALLOW]
        if self._plugged is None:
            self._plugged = plugged(self.rules.plug_in, self.rules_file.parent)
        layers = detectors(names=self.names, also=also, plugged=[self._decided, *self._plugged])
        return Sanitiser(layers, self.rules, conversation)

    def reread(self) -> None:
        """After the rules were changed."""
        self._read = self._stamp()
        self.rules, self._decided, self._plugged = read_rules(self.rules_file), None, None
        if self._vault is not None:
            self._vault.keep_days = self.rules.keep_days

    def relock(self, passphrase: str | None) -> None:
        """Give the vault a new key (see `Vault.relock`), and seal with it what the rules hold sealed. Both or
        neither."""
        before = self.rules_file.read_bytes() if self.rules_file.exists() else b""
        opened = [(one, self.vault.open_value(one.sealed)) for one in self.rules.always if one.sealed]

        def decided(seal: Callable[[str], str]) -> None:
            if opened:
                anew = {one: one.model_copy(update={"sealed": seal(value)}) for one, value in opened}
                always = tuple(anew.get(one, one) for one in self.rules.always)
                write_rules(self.rules_file, self.rules.model_copy(update={"always": always}))

        try:
            self.vault.relock(passphrase, decided)
        except BaseException:
            if opened and self.rules_file.read_bytes() != before:
                write_secret(self.rules_file, before)
            raise
        self.reread()

    def _stamp(self) -> int:
        try:
            return self.rules_file.stat().st_mtime_ns
        except OSError:
            return 0
