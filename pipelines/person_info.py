"""The people in a picture: where they are, what can be told of them, what can be changed."""

import hashlib
from dataclasses import dataclass

from imaging.picture import Rgb
from models.roles import FACE_ANALYSIS, Face, Models
from pipelines.people.actions import actions_for
from pipelines.people.oracle import Oracle, oracle_for


@dataclass(frozen=True)
class Person:
    """One person, told by the face.

    id: 64 hexadecimal digits, the same for the same person of the same visual at every call.
    labels: what could be told, as "age_26-42" and "Female"; what could not is absent. rect: x, y,
    width, height of the face in pixels; it may reach beyond the picture. face: as it was found.
    """

    id: str
    actions: dict[str, list[str]]
    labels: list[str]
    oracle: Oracle
    rect: tuple[float, float, float, float]
    face: Face

    def as_json(self) -> dict[str, object]:
        """Return the person in the wire's shape."""
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
    """Return the people of a picture, the largest face first; 64 at most with profile `lite`."""
    with models.use(FACE_ANALYSIS) as analysis:
        faces = analysis.analyse(rgb)
    return [
        Person(
            id=person_id(visual_id, face),
            actions=actions_for(face),
            labels=labels_for(face),
            oracle=oracle_for(face, rgb),
            rect=face.rect,
            face=face,
        )
        for face in faces
    ]


def labels_for(face: Face) -> list[str]:
    """Return what could be told of a face: age range, then gender."""
    labels = []
    if face.age is not None:
        labels.append(f"age_{face.age[0]}-{face.age[1]}")
    if face.gender is not None:
        labels.append(face.gender)
    return labels


def person_id(visual_id: str, face: Face) -> str:
    """Return the id of a person: SHA-256 of the visual and of the face's place in whole pixels."""
    place = ",".join(str(round(side)) for side in face.rect)
    return hashlib.sha256(f"{visual_id}:{place}".encode()).hexdigest()
