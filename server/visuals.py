"""Registered pictures (visuals): their ids, owners, panoptic maps, results and edit sessions."""

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np

from imaging.files.decode import decode
from imaging.files.header import EXTENSIONS, probe
from imaging.files.png_writer import encode_grey_png
from imaging.picture import Labels
from models.roles import Models
from pipelines.objects_mask_generator import objects_mask_generator
from server.errors import NotFoundError, TooLargeError
from server.http.uploads import Encoded
from server.storage_limits import StorageLimits
from storage.errors import ObjectMissingError
from storage.object_store import ObjectStore, content_type_of
from storage.records import EditSession, Records, Visual
from storage.stored_bytes import charged
from storage.visual_sizes import VisualSizes

_SWEEP_BATCH = 100
_VISUAL_ID_PATTERN = re.compile(r"[0-9a-f]{16}\Z")


@dataclass(frozen=True)
class EditSource:
    """What an edit starts from: a visual's picture, or the result of an earlier edit of it."""

    visual: Visual
    edit: EditSession | None = None

    @property
    def changed(self) -> tuple[str, ...]:
        """The ids of the people that earlier edits changed."""
        return () if self.edit is None else self.edit.changed


class Visuals:
    """Stores visuals: a row in the database, and the picture and its panoptic map in the object store.

    store: for pictures and maps, which stay until the visual is removed. results: for results, which
    expire. limits: what may be stored. ttl_s: seconds for which a visual is kept after it was last
    registered; 0 until it is removed.
    """

    def __init__(
        self,
        records: Records,
        store: ObjectStore,
        results: ObjectStore,
        limits: StorageLimits,
        ttl_s: int = 0,
    ) -> None:
        self._records = records
        self._store = store
        self._results = results
        self._limits = limits
        self._sizes = VisualSizes(records.engine)
        self._ttl = timedelta(seconds=ttl_s)

    def register(
        self, organisation: str, picture: Encoded, is_private: bool = False
    ) -> tuple[str, bool]:
        """Store a picture; return its visual_id, and whether it is new to this organisation.

        Raises QuotaExceededError, DiskFullError.
        """
        visual_id = visual_id_of(organisation, picture.data)
        existing = self._records.visual(organisation, visual_id)
        if existing is not None and self._is_stored(existing, picture):
            if self._ttl:
                self._sizes.renew(existing)
            return visual_id, False
        self._limits.admit_visual(organisation, len(picture.data))
        # A unique key, so that a concurrent removal of the visual does not delete this picture.
        key = f"{organisation}/{visual_id}/{uuid.uuid4().hex}.{EXTENSIONS[picture.probe.format]}"
        size = (picture.probe.width, picture.probe.height)
        visual = Visual(organisation, visual_id, key, *size, is_private)
        # The picture first, so that a row never refers to a missing picture.
        self._put(key, picture)
        is_new = False
        try:
            is_new = self._records.add_visual(visual, charged(len(picture.data)))
        finally:
            if not is_new:
                self._store.delete(key)
        return visual_id, is_new

    def _is_stored(self, visual: Visual, picture: Encoded) -> bool:
        """Store a visual's picture again if it was lost; False if the visual is removed meanwhile."""
        if self._store.exists(visual.source_key):
            return True
        self._put(visual.source_key, picture)
        if self._records.visual(visual.organisation, visual.visual_id) == visual:
            return True
        self._store.delete(visual.source_key)
        return False

    def _put(self, key: str, picture: Encoded) -> None:
        self._store.put(key, picture.data, content_type_of(key))

    def find(self, organisation: str, visual_id: str) -> Visual:
        """Return a visual; raises NotFoundError if this organisation has no such visual."""
        is_valid = _VISUAL_ID_PATTERN.match(visual_id)
        visual = self._records.visual(organisation, visual_id) if is_valid else None
        if visual is None:
            raise no_visual(visual_id)
        return visual

    def picture(self, visual: Visual) -> Encoded:
        """Return a visual's picture; raises NotFoundError."""
        return self._read(self._store, visual.source_key, f"visual {visual.visual_id}", "visual_id")

    def find_source(
        self, organisation: str, visual_id: str, sid: str | None, max_bytes: int
    ) -> EditSource:
        """Return what an edit of a visual starts from, without reading its picture. sid: of a result.

        Raises NotFoundError, and TooLargeError for a result of more than `max_bytes`.
        """
        visual = self.find(organisation, visual_id)
        if sid is None:
            return EditSource(visual)
        edit = self._records.session(organisation, visual_id, sid)
        if edit is None:
            raise NotFoundError(
                "There is no result of this visual with this sid, or not yet.", "sid"
            )
        info = self._results.stat(edit.result_key)
        if info is not None and info.size > max_bytes:
            raise TooLargeError(
                f"The result with this sid has {info.size} bytes; at most {max_bytes} are accepted.",
                "sid",
            )
        return EditSource(visual, edit)

    def read_source(self, source: EditSource) -> Encoded:
        """Return the picture that an edit starts from; raises NotFoundError."""
        if source.edit is None:
            return self.picture(source.visual)
        what = f"result {source.edit.sid} any more"
        return self._read(self._results, source.edit.result_key, what, "sid")

    def _read(self, store: ObjectStore, key: str, what: str, sent_as: str) -> Encoded:
        try:
            data = store.get(key)
        except ObjectMissingError as error:
            raise NotFoundError(f"There is no {what}.", sent_as) from error
        return Encoded(data, probe(data), sent_as=sent_as)

    def labels(
        self, organisation: str, visual_id: str, models: Models, *, is_admitted: bool = True
    ) -> Labels:
        """Return a visual's panoptic map, height x width, uint8.

        It is computed once and stored, so that the ids of the masks never change. is_admitted: whether
        the request was found to be within the quota. Raises NotFoundError, also if the visual is removed
        meanwhile; QuotaExceededError, DiskFullError.
        """
        visual = self.find(organisation, visual_id)
        key = _labels_key(organisation, visual_id)
        try:
            file = np.frombuffer(self._store.get(key), np.uint8)
            return np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED), np.uint8)
        except ObjectMissingError:
            if not is_admitted:
                self._limits.admit(organisation)
            labels = objects_mask_generator(decode(self.picture(visual).data), models)
            self._store_map(visual, encode_grey_png(labels))
            return labels

    def _store_map(self, visual: Visual, file: bytes) -> None:
        """Store a visual's panoptic map; raises NotFoundError if the visual is removed meanwhile."""
        key = _labels_key(visual.organisation, visual.visual_id)
        self._store.put(key, file, content_type_of(key))
        self._sizes.set_map_size(visual, charged(len(file)))
        if self._records.visual(visual.organisation, visual.visual_id) is None:
            self._store.delete(key)
            raise no_visual(visual.visual_id)

    def new_sid(self) -> str:
        """Return a new session id; it always ends in .JPEG, as those of the published API do."""
        return f"{uuid.uuid4()}.JPEG"

    def add_results(
        self,
        organisation: str,
        visual_id: str,
        keys: Sequence[str],
        sizes: Sequence[int] = (),
        edit: EditSession | None = None,
    ) -> bool:
        """Record results as those of a visual, before they are stored; False if it was removed.

        sizes: of the results in bytes, if they are known. edit: the session of the only result, from which
        further edits may start.
        """
        if not self._records.add_results(organisation, visual_id, keys, [*map(charged, sizes)]):
            return False
        return edit is None or self._records.add_session(organisation, edit)

    def has_result(self, organisation: str, key: str) -> bool:
        """Whether the visual of a recorded result has not been removed since."""
        return self._records.has_result(organisation, key)

    def remove_results(self, organisation: str, keys: Sequence[str], sid: str) -> None:
        """Remove the records of results that could not be stored, and their session."""
        self._records.remove_results(organisation, keys)
        self._records.remove_session(organisation, sid)

    def remove(self, visual: Visual) -> None:
        """Remove a visual: its picture, its map, all results made from it, and its rows.

        If the store is unavailable, the rows stay, so that the removal can be repeated. It works on a full
        disk too.
        """
        with self._limits.room():
            keys = self._records.results(visual.organisation, visual.visual_id)
            self._delete_objects(visual, keys)
            # A second time: what other requests stored since then, until the rows were gone.
            keys = self._records.remove_visual(visual.organisation, visual.visual_id)
            self._delete_objects(visual, keys)

    def _delete_objects(self, visual: Visual, result_keys: Sequence[str]) -> None:
        for key in result_keys:
            self._results.delete(key)
        self._store.delete(visual.source_key)
        self._store.delete(_labels_key(visual.organisation, visual.visual_id))

    def sweep(self, older_than: datetime) -> None:
        """Remove the records of the results made before `older_than`, and the visuals that have expired.

        Also fills in the sizes of pictures that an earlier version registered.
        """
        self._records.sweep_results(older_than)
        while self._ttl:
            expired = self._sizes.registered_before(datetime.now(UTC) - self._ttl, _SWEEP_BATCH)
            for visual in expired:
                self.remove(visual)
            if not expired:
                break
        for visual in self._sizes.without_size(_SWEEP_BATCH):
            info = self._store.stat(visual.source_key)
            self._sizes.set_size(visual, charged(info.size) if info else 0)


def no_visual(visual_id: str) -> NotFoundError:
    """Return the error of a visual that an organisation does not have, or no longer has."""
    return NotFoundError(f"There is no visual '{visual_id[:64]}'.", "visual_id")


def _labels_key(organisation: str, visual_id: str) -> str:
    """Return the key of a visual's panoptic map."""
    return f"{organisation}/{visual_id}/labels.png"


def visual_id_of(organisation: str, data: bytes) -> str:
    """Return the visual_id of a picture: a hash of the organisation and the file, 16 digits."""
    digest = hashlib.sha256(organisation.encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()[:16]
