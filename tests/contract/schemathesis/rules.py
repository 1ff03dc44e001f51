"""Rules of the API that OpenAPI has no words for: what an answer depends on that no request says.

Schemathesis takes a refusal of what the document allows for a fault. Each row takes one such refusal out, by the
operation and by what the answer says, and by nothing else: all other refusals of the same operation are faults.
"""

import requests
import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

# What was sent before, to whomever: what an Idempotency-Key was used for, what a wallet has, which version of a
# profile there is.
STATE = {"idempotency_key_reused", "insufficient_credits", "precondition_failed"}

# By operation: the field that is refused. `*` stands for all of them.
FIELDS = {
    # Positions come from answers, and end where the log ends now.
    "*": {"X-Min-Position"},
    # Secrets: the account's password, and the words of links and codes.
    "DELETE /api/v1/me": {"password"},
    "POST /api/v1/me/deactivate": {"password"},
    "POST /api/v1/me/contacts": {"password"},
    "POST /api/v1/me/identities": {"password"},
    "POST /api/v1/me/password": {"current_password"},
    "POST /api/v1/me/contacts/verify": {"code"},
    "POST /api/v1/auth/email/verify": {"token"},
    "POST /api/v1/auth/oauth/exchange": {"token"},
    "POST /api/v1/auth/otp/verify": {"code"},
    "POST /api/v1/auth/reactivate": {"token"},
    # The same, and how hard a password is to guess.
    "POST /api/v1/auth/password/reset": {"token", "password"},
    "POST /api/v1/auth/register": {"password"},
    # One parameter compared with another, or a time with now.
    "GET /api/v1/admin/events": {"aggregate_type"},
    "GET /api/v1/usage": {"from", "to"},
    "GET /api/v1/wallet/statement": {"from"},
    "POST /api/v1/admin/users/{id}/credits": {"expires_at"},
    # Sums of two fields, or of one with what there is.
    "POST /api/v1/admin/packs": {"credits"},
    "PUT /api/v1/admin/packs/{id}": {"credits"},
    "POST /api/v1/admin/plans": {"credits"},
    "PUT /api/v1/admin/plans/{id}": {"credits"},
    "POST /api/v1/admin/users/{id}/debt/write-off": {"amount"},
    "POST /api/v1/admin/users/{id}/grants/{grant}/void": {"amount"},
    "POST /api/v1/wallet/debits/{id}/reverse": {"amount"},
    "POST /api/v1/wallet/holds/{id}/capture": {"amount"},
    "POST /api/v1/wallet/holds/{id}/extend": {"expires_at"},
    # Pages of lists that Stripe keeps.
    "GET /api/v1/billing/invoices": {"cursor"},
    # Which addresses are of the house's own network.
    "POST /api/v1/webhook-endpoints": {"url"},
    "PATCH /api/v1/webhook-endpoints/{id}": {"url"},
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if not isinstance(failure, RejectedPositiveData):
        return True
    said = response.json()
    if case.operation.label.split(" ", 1)[1].startswith("/v1/"):
        said = said["error"]
    if said.get("code") in STATE:
        return False
    # No text has U+0000, and the document says so of every field; of names that it does not know, it cannot.
    if said.get("code") == "malformed" and "U+0000" in said.get("detail", said.get("message", "")):
        return False
    # Only Stripe can sign.
    if case.operation.label == "POST /api/v1/webhooks/stripe" and said.get("code") == "bad_signature":
        return False
    known = FIELDS["*"] | FIELDS.get(case.operation.label, set())
    errors = said.get("errors") or {}
    return not errors or not set(errors) <= known


@schemathesis.hook
def before_call(context, case, kwargs):
    """Whoever says that they have heard a chat up to now is told what comes: here, nothing, for a quarter of an hour."""
    if case.operation.label == "GET /api/v1/chats/{id}/events" and is_readable(case):
        case.headers.pop("Last-Event-ID", None)
        case.query["after"] = -1


@schemathesis.hook
def after_call(context, case, response):
    """Takes a limit off again: whoever may spend nothing is refused whatever costs something. Resumes what was paused:
    a read model that stands still is waited for in vain. And has everybody as they were: somebody else who administers
    could end the account of the one who asks."""
    sent = {"Authorization": response.request.headers.get("Authorization", "")}
    url = response.request.url
    if case.operation.label == "PUT /api/v1/wallet/limits" and response.status_code == 200:
        limits = {"per_day": None, "per_month": None}
        requests.put(url, json=limits, headers=sent, timeout=20).raise_for_status()
    if case.operation.label.endswith("/projections/{name}/pause") and response.status_code < 300:
        resume = url.removesuffix("/pause") + "/resume"
        requests.post(resume, headers=sent, timeout=20).raise_for_status()
    why = {"reason": "as before"}
    if case.operation.label.endswith("/users/{id}/deactivate") and response.status_code < 300:
        back = url.removesuffix("/deactivate") + "/reactivate"
        requests.post(back, json=why, headers=sent, timeout=20).raise_for_status()
    if case.operation.label.endswith("/users/{id}/role") and response.status_code < 300:
        requests.post(url, json=why | {"role": "user"}, headers=sent, timeout=20).raise_for_status()


def is_readable(case):
    places = [(case.headers or {}).get("Last-Event-ID"), (case.query or {}).get("after")]
    told = [place for place in places if place is not None]
    return all(str(place).lstrip("-").isdigit() for place in told)
