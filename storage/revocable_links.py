"""Sign and verify links that die when their organisation is revoked."""

import threading
from collections import OrderedDict
from collections.abc import Collection

from storage.errors import DatabaseUnavailableError
from storage.links import LinkSigner, LinkState
from storage.tokens import LinkGeneration, TokenTable

_REMEMBERED = 10_000
"""Organisations whose last generation is kept."""


class RevocableLinks:
    """Signs keys as `LinkSigner` does, with the generation of the key's organisation.

    The first segment of a key is its organisation. lasting: organisations whose tokens are in the settings:
    new links of them are valid again at once after a revocation, because they need no new token. While the
    database does not answer, the last known generation counts; without one both methods raise
    DatabaseUnavailableError. Both block.
    """

    def __init__(
        self, signer: LinkSigner, table: TokenTable, lasting: Collection[str] = ()
    ) -> None:
        self._signer = signer
        self._table = table
        self._lasting = frozenset(lasting)
        self._known: OrderedDict[str, LinkGeneration] = OrderedDict()
        self._lock = threading.Lock()

    def sign(self, key: str, expires: int) -> str:
        """Return the query string of a link to `key`; see LinkSigner."""
        generation = self._generation(_organisation_of(key))
        return self._signer.sign(key, expires, generation.number)

    def verify(self, key: str, expires: str, signature: str, now: float) -> LinkState:
        """Return whether a link is valid, expired, revoked or forged; see LinkSigner."""
        if not (expires and signature):  # saves the search for the links of others
            return LinkState.FORGED
        organisation = _organisation_of(key)
        generation = self._generation(organisation)
        state = self._signer.verify(key, expires, signature, now, generation.number)
        is_closed = generation.is_closed and organisation not in self._lasting
        return LinkState.REVOKED if is_closed and state is LinkState.OK else state

    def _generation(self, organisation: str) -> LinkGeneration:
        """Return which links of an organisation are valid, by the database or by what it said last."""
        try:
            generation = self._table.link_generation(organisation)
        except DatabaseUnavailableError:
            with self._lock:
                known = self._known.get(organisation)
            if known is None:
                raise
            return known
        with self._lock:
            self._known[organisation] = generation
            self._known.move_to_end(organisation)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return generation


def _organisation_of(key: str) -> str:
    return key.partition("/")[0]
