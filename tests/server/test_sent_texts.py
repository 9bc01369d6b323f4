"""The texts of pictures leave the body once the pictures are read, and the job's row with it."""

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.jobs.job import Job
from server.jobs.serialization import JobSerializer, SerializedJob
from server.operations import OPERATIONS
from server.sent_texts import without_sent_texts
from tests.helpers.requests import b64, mask, photo

LARGE = "data:image/png;base64," + base64.b64encode(b"x" * 6000).decode()
BODIES: dict[str, dict[str, Any]] = {
    "/{visual_id}/objects/remove": {"changes": [{"mask_url": LARGE}, {"mask_id": 1}]},
    "/v2/image/edit": {"images": [LARGE] * 2, "instruction": "make it red"},
    "/v2/image/generate": {"images": LARGE, "prompt": "a dog"},
    "/v2/image/edit/replace_background": {"ref_images": [LARGE]},
    "/v2/image/edit/product/integrate": {
        "products": [{"image": LARGE, "coordinates": {"x": 1, "y": 1, "width": 8, "height": 6}}]
    },
    "/v2/image/edit/product/holding": {"product_images": [LARGE]},
    "/v2/image/edit/product/virtual-tryon": {"garment_images": [LARGE]},
    "/product/lifestyle_shot_by_image": {"ref_image_urls": [LARGE]},
}


@pytest.mark.parametrize("key", BODIES)
def test_no_text_of_a_picture_stays_in_a_body(key: str) -> None:
    operation = next(one for one in OPERATIONS if one.key == key)
    body = operation.body.model_validate(BODIES[key])
    assert LARGE in repr(body)
    without = without_sent_texts(body)
    assert LARGE not in repr(without)
    # The rest is as it was, and what a stored job has of it is valid.
    small = operation.body.model_validate(without.model_dump(mode="json"))
    assert len(repr(small)) < 4000
    assert without.warning == body.warning


def test_the_row_of_a_job_has_no_drawn_mask(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = []
    dump = JobSerializer.dump

    def recorded(serializer: JobSerializer, name: str, job: Job) -> SerializedJob:
        rows.append(dump(serializer, name, job))
        found: SerializedJob = rows[-1]
        return found

    monkeypatch.setattr(JobSerializer, "dump", recorded)
    visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    drawn = "data:image/png;base64," + b64(mask())
    answer = client.post(
        f"/v1/{visual}/objects/remove", json={"changes": [{"mask_url": drawn}], "sync": False}
    )
    assert answer.status_code == 200, answer.text
    (row,) = rows
    assert row["body"]["changes"][0]["mask_url"] == "data:,"
    assert row["sources"]["mask 0"]["is_mask"]
    assert b64(mask())[:60] not in repr(row)
