"""Registered pictures (visuals): their ids, owners, panoptic maps and edit sessions."""

import hashlib
import re
import uuid
from datetime import datetime

import cv2
import numpy as np

from imaging.files.decode import decode
from imaging.files.header import EXTENSIONS, probe
from imaging.files.png_writer import encode_grey_png
from imaging.picture import Labels
from models.roles import Models
from pipelines.objects_mask_generator import objects_mask_generator
from server.errors import NotFoundError
from server.http.uploads import Encoded
from storage.errors import ObjectMissingError
from storage.object_store import ObjectStore, content_type_of
from storage.records import EditSession, Records, Visual

_VISUAL_ID_PATTERN = re.compile(r"[0-9a-f]{16}\Z")


class Visuals:
    """Stores visuals: a row in the database, and the picture and its panoptic map in the object store.

    store: for pictures and maps, which stay until the visual is removed. results: for results, which
    expire.
    """

    def __init__(self, records: Records, store: ObjectStore, results: ObjectStore) -> None:
        self._records = records
        self._store = store
        self._results = results

    def register(
        self, organisation: str, picture: Encoded, is_private: bool = False
    ) -> tuple[str, bool]:
        """Store a picture; return its visual_id, and whether it is new to this organisation."""
        visual_id = visual_id_of(organisation, picture.data)
        existing = self._records.visual(organisation, visual_id)
        if existing is not None:
            if not self._store.exists(existing.source_key):  # the picture was lost
                self._put(existing.source_key, picture)
            return visual_id, False
        # A unique key, so that a concurrent removal of the visual does not delete this picture.
        key = f"{organisation}/{visual_id}/{uuid.uuid4().hex}.{EXTENSIONS[picture.probe.format]}"
        size = (picture.probe.width, picture.probe.height)
        visual = Visual(organisation, visual_id, key, *size, is_private)
        # The picture first, so that a row never refers to a missing picture.
        self._put(key, picture)
        is_new = False
        try:
            is_new = self._records.add_visual(visual)
        finally:
            if not is_new:
                self._store.delete(key)
        return visual_id, is_new

    def _put(self, key: str, picture: Encoded) -> None:
        self._store.put(key, picture.data, content_type_of(key))

    def find(self, organisation: str, visual_id: str) -> Visual:
        """Return a visual; raises NotFoundError if this organisation has no such visual."""
        is_valid = _VISUAL_ID_PATTERN.match(visual_id)
        visual = self._records.visual(organisation, visual_id) if is_valid else None
        if visual is None:
            raise NotFoundError(f"There is no visual {visual_id[:64]}.", "visual_id")
        return visual

    def picture(self, visual: Visual) -> Encoded:
        """Return a visual's picture; raises NotFoundError."""
        return self._read(self._store, visual.source_key, f"visual {visual.visual_id}", "visual_id")

    def result(self, visual: Visual, sid: str) -> tuple[Encoded, tuple[str, ...]]:
        """Return a visual's result and the ids of the people changed in it; raises NotFoundError."""
        edit = self._records.session(visual.organisation, visual.visual_id, sid)
        if edit is None:
            raise NotFoundError(f"There is no result {sid} of this visual, or not yet.", "sid")
        encoded = self._read(self._results, edit.result_key, f"result {sid} any more", "sid")
        return encoded, edit.changed

    def _read(self, store: ObjectStore, key: str, what: str, sent_as: str) -> Encoded:
        try:
            data = store.get(key)
        except ObjectMissingError as error:
            raise NotFoundError(f"There is no {what}.", sent_as) from error
        return Encoded(data, probe(data), sent_as=sent_as)

    def labels(self, organisation: str, visual_id: str, models: Models) -> Labels:
        """Return a visual's panoptic map, height x width, uint8.

        It is computed once and stored, so that the ids of the masks never change. Raises
        NotFoundError.
        """
        visual = self.find(organisation, visual_id)
        key = f"{organisation}/{visual_id}/labels.png"
        try:
            file = np.frombuffer(self._store.get(key), np.uint8)
            return np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED), np.uint8)
        except ObjectMissingError:
            picture = decode(self.picture(visual).data)
            labels = objects_mask_generator(picture, models)
            self._store.put(key, encode_grey_png(labels), content_type_of(key))
            return labels

    def new_sid(self) -> str:
        """Return a new session id; it always ends in .JPEG, as those of the published API do."""
        return f"{uuid.uuid4()}.JPEG"

    def add_result(self, organisation: str, edit: EditSession) -> None:
        """Add a session for a stored result; without effect if the visual was removed."""
        self._records.add_session(organisation, edit)

    def remove_result(self, organisation: str, sid: str) -> None:
        """Remove the session of a result that could not be stored."""
        self._records.remove_session(organisation, sid)

    def remove(self, visual: Visual) -> None:
        """Remove a visual: its rows, then its results, its picture and its map."""
        for key in self._records.remove_visual(visual.organisation, visual.visual_id):
            self._results.delete(key)
        self._store.delete(visual.source_key)
        self._store.delete(f"{visual.organisation}/{visual.visual_id}/labels.png")

    def sweep(self, older_than: datetime) -> None:
        """Remove the sessions made before `older_than`: their results have expired."""
        self._records.sweep_sessions(older_than)


def visual_id_of(organisation: str, data: bytes) -> str:
    """Return the visual_id of a picture: a hash of the organisation and the file, 16 digits."""
    digest = hashlib.sha256(organisation.encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()[:16]
