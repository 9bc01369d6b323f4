"""Find the people in a picture: their faces, labels, and the actions offered for each."""

import hashlib
from dataclasses import dataclass

from imaging.picture import Rgb
from models.roles import FACE_ANALYSIS, FACE_EDITING, Face, Models
from pipelines.people.actions import actions_for
from pipelines.people.oracle import Oracle, oracle_for


@dataclass(frozen=True)
class Person:
    """One person, identified by the face.

    id: 64 hexadecimal digits; each call returns the same id for the same person of a visual.
    actions: the values offered for each action; empty if the profile cannot change people. labels:
    for example "age_26-42", "happy" and "Female"; a label is absent if the model cannot estimate it.
    oracle: how well each offered action is likely to work. rect: x, y, width, height of the face in pixels;
    it may extend beyond the picture. face: the detected face.
    """

    id: str
    actions: dict[str, list[str]]
    labels: list[str]
    oracle: Oracle
    rect: tuple[float, float, float, float]
    face: Face

    def as_json(self) -> dict[str, object]:
        """Return the person as the API writes it."""
        x, y, width, height = self.rect
        return {
            "actions": self.actions,
            "id": self.id,
            "labels": self.labels,
            "oracle": self.oracle,
            "rect": {"h": height, "w": width, "x": x, "y": y},
            "type": "person",
        }


def people(rgb: Rgb, models: Models, visual_id: str) -> list[Person]:
    """Return the people in a picture, the largest face first; at most 64 with profile `lite`.

    rgb: height x width x 3, uint8.
    """
    with models.use(FACE_ANALYSIS) as analysis:
        faces = analysis.analyse(rgb)
    can_edit = models.offers(FACE_EDITING)
    return [
        Person(
            id=person_id(visual_id, face),
            actions=actions_for(face) if can_edit else {},
            labels=labels_for(face),
            oracle=oracle_for(face, rgb) if can_edit else {},
            rect=face.rect,
            face=face,
        )
        for face in faces
    ]


def labels_for(face: Face) -> list[str]:
    """Return the labels of a face: age range, expression, gender, each only if it is known.

    Their order and words are those of the published sample.
    """
    labels = []
    if face.age is not None:
        labels.append(f"age_{face.age[0]}-{face.age[1]}")
    if face.expression is not None:
        labels.append(face.expression)
    if face.gender is not None:
        labels.append(face.gender)
    return labels


def person_id(visual_id: str, face: Face) -> str:
    """Return the id of a person: SHA-256 of the visual's id and the face's box in whole pixels."""
    box = ",".join(str(round(side)) for side in face.rect)
    return hashlib.sha256(f"{visual_id}:{box}".encode()).hexdigest()
