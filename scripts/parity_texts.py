"""The texts of docs/parity.md between its tables."""

from tests.contract.outcomes import DONE, ECHOED, EMPTY, IDLE, REFUSED

PART = "in part"

INTRODUCTION = f"""\
# Parity

This page lists every route of the published v1 Image Editing API with its fields and the fields of its answer,
in the published order, and says what profile `lite` of this server does with each. A second table has the
routes that clients call beside them, a third one those of [version 2](#version-2). `./scripts/parity` computes
the page. It compares types, defaults and
bounds with the server's OpenAPI document, and it tries each field with two requests: one with the field and one
without. These trials use exact fake models. What the real models of `lite` do not reach is a note, from
`scripts/parity_notes.py`. Where the published page gives no default or bound, the table has ours in brackets.

- "{DONE}": who uses it gets what the page promises.
- "{PART}": it works, with the limit that follows.
- "{REFUSED}": the server checks the request as published and then answers 506 `NOT_IN_PROFILE`. The text of the
  answer names the profiles that can serve the request.
- "{ECHOED}": the server checks the field and returns its value, but the result is the same.
- "{IDLE}": the server checks the field, but the answer and the result are the same.
- "{EMPTY}": the answer has the field, with null, an empty list or an empty object.

The profiles `open`, `studio` and `bria` have a model for every row. [models.md](models.md) says what their models
are and what has not run yet.
"""

COMPANIONS_INTRODUCTION = """\
## Routes that clients call beside them

`remove_image` removes the picture, its masks, its sids and every result made from it; their links answer 404. A
request that runs at that moment stores nothing. What another organisation registered stays. The copy of the
picture that a waiting job of `sync=false` holds is deleted when the job's turn comes. Every route that makes a
result takes `sync`, also where the page does not list it.
"""

LATER_INTRODUCTION = """\
### Fields of v1 that the page does not list

Public callers send them, or they are fields of version 2 that this server takes in v1 too. Without them a route
does what its page says.
"""

V2_INTRODUCTION = """\
## Version 2

The routes of `/v2`. The answer's fields are those of `result`. Without `sync=true` a route answers 202 with
`request_id` and `status_url`. Every route takes its pictures as an address, in base64 or as a `data:` URL, and
ignores fields that it does not know. [migration.md](migration.md) says what changes for a caller of the hosted
API, and from v1 to v2.
"""

NOT_SERVED_INTRODUCTION = """\
### Routes of version 2 that are not served

They answer 404, with an error in the form of v2. Login, device login, tailored models and templates of ads are
not served either.
"""
