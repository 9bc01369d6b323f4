"""Sign and verify links that die when their organisation is revoked."""

from collections.abc import Collection

from storage.links import LinkSigner, LinkState
from storage.tokens import TokenTable


class RevocableLinks:
    """Signs keys as `LinkSigner` does, with the generation of the key's organisation.

    The first segment of a key is its organisation. lasting: organisations whose tokens are in the settings:
    new links of them are valid again at once after a revocation, because they need no new token. Both
    methods block, and raise DatabaseUnavailableError.
    """

    def __init__(
        self, signer: LinkSigner, table: TokenTable, lasting: Collection[str] = ()
    ) -> None:
        self._signer = signer
        self._table = table
        self._lasting = frozenset(lasting)

    def sign(self, key: str, expires: int) -> str:
        """Return the query string of a link to `key`; see LinkSigner."""
        generation = self._table.link_generation(_organisation_of(key))
        return self._signer.sign(key, expires, generation.number)

    def verify(self, key: str, expires: str, signature: str, now: float) -> LinkState:
        """Return whether a link is valid, expired, revoked or forged; see LinkSigner."""
        if not (expires and signature):  # saves the search for the links of others
            return LinkState.FORGED
        organisation = _organisation_of(key)
        generation = self._table.link_generation(organisation)
        state = self._signer.verify(key, expires, signature, now, generation.number)
        is_closed = generation.is_closed and organisation not in self._lasting
        return LinkState.REVOKED if is_closed and state is LinkState.OK else state


def _organisation_of(key: str) -> str:
    return key.partition("/")[0]
