"""Webhooks, events, idempotency keys, and faults as the library sees them."""

import http.server
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import stripe
from check import client, control, refused, same

SECRETS = {"platform_secret": "whsec_py_platform", "connect_secret": "whsec_py_connect"}


class Endpoint:
    """An endpoint for webhooks."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append((body, self.headers["stripe-signature"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_args):
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        control("webhook", {"url": f"http://127.0.0.1:{self.server.server_port}/hook", **SECRETS})

    def take(self, kind):
        """The raw body and the signature of a webhook of this type."""
        for _ in range(200):
            for body, signature in list(self.received):
                if json.loads(body)["type"] == kind:
                    return body, signature
            time.sleep(0.02)
        raise AssertionError(f"no webhook {kind}; {len(self.received)} others came")


def signatures(api):
    """the library verifies the signature of webhooks"""
    hooks = Endpoint()
    customer = api.customers.create(params={"name": "Zoë"})
    account = api.accounts.create(params={"type": "express"})
    control(f"accounts/{account.id}", {"onboard": True})

    body, signature = hooks.take("customer.created")
    event = stripe.Webhook.construct_event(body, signature, SECRETS["platform_secret"])
    same([event.type, event.data.object.id], ["customer.created", customer.id])
    same(event.request.id, customer.last_response.request_id)
    same(client().construct_event(body, signature, SECRETS["platform_secret"]).id, event.id)
    tampered = body.replace(b"Zo", b"Za")
    assert tampered != body
    for raw, header, secret in (
        (body, signature, SECRETS["connect_secret"]),
        (tampered, signature, SECRETS["platform_secret"]),
        (body, signature.replace("t=", "t=1"), SECRETS["platform_secret"]),
    ):
        refused(
            lambda raw=raw, header=header, secret=secret: stripe.Webhook.construct_event(raw, header, secret),
            stripe.SignatureVerificationError,
        )

    body, signature = hooks.take("account.updated")
    update = stripe.Webhook.construct_event(body, signature, SECRETS["connect_secret"])
    same(update.account, account.id)
    same(update.data.previous_attributes["payouts_enabled"], False)
    hooks.server.shutdown()


def events_without_webhooks(api):
    """events that no webhook delivered are found by paging"""
    control("webhook", {"url": "http://127.0.0.1:1/nobody", **SECRETS})
    before = int(time.time())
    made = []
    for number in range(6):
        made.insert(0, api.customers.create(params={"description": f"lost {number}"}).id)
    lost = {
        "delivery_success": False,
        "types": ["customer.created", "customer.deleted"],
        "created": {"gte": before},
    }
    events = list(api.events.list(params={**lost, "limit": 2}).auto_paging_iter())
    same([event.data.object.id for event in events], made)
    first = api.events.retrieve(events[0].id)
    same([first.type, first.data.object.id], ["customer.created", made[0]])
    group = {"type": "customer.*", "created": {"gte": before}, "limit": 4}
    counted = [event.id for event in api.events.list(params=group).auto_paging_iter()]
    assert all(event.id in counted for event in events)
    newer = api.events.list(params={**lost, "ending_before": events[3].id, "limit": 2})
    same([event.id for event in newer.data], [events[1].id, events[2].id])
    none = api.events.list(params={**lost, "created": {"gt": before + 3_600}})
    same([none.data, none.has_more], [[], False])

    account = api.accounts.create(params={"type": "express"}).id
    control(f"accounts/{account}", {"onboard": True})
    theirs = api.events.list(params={"delivery_success": False}, options={"stripe_account": account})
    same([(event.type, event.account) for event in theirs.data], [("account.updated", account)])
    same(api.events.list(params={"types": ["account.updated"], "limit": 100}).data, [])


def keys(api):
    """a key replays the first answer and belongs to its parameters"""
    params = {
        "amount": 1_000,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "return_url": "https://a",
    }
    options = {"idempotency_key": "py-key"}
    first = api.payment_intents.create(params=params, options=options)
    again = api.payment_intents.create(params=params, options=options)
    same(again.id, first.id)
    replays = [one.last_response.headers.get("idempotent-replayed") for one in (first, again)]
    same(replays, [None, "true"])
    refused(
        lambda: api.payment_intents.create(params={**params, "amount": 1_001}, options=options),
        stripe.IdempotencyError,
        status=400,
        type="idempotency_error",
    )


def keys_in_flight(api):
    """a key in flight is a 409 that the library can wait out"""

    def hold(milliseconds):
        order = {"operation": "customers.create", "nth": 1, "latency_ms": milliseconds}
        return control("faults", order)["id"]

    def arrived(rule):
        while not any(one["id"] == rule and one["hit"] == 1 for one in control("faults")):
            time.sleep(0.005)

    def create(name, retries=0):
        params, options = {"name": name}, {"idempotency_key": f"py-flight-{name}"}
        return client(retries=retries).v1.customers.create(params=params, options=options)

    with ThreadPoolExecutor() as pool:
        held = hold(1_500)
        first = pool.submit(create, "one")
        arrived(held)
        refused(
            lambda: create("one"), stripe.APIError, status=409, code="idempotency_key_in_use", type="idempotency_error"
        )
        same(create("one", retries=3).id, first.result().id)
        held = hold(400)
        other = pool.submit(create, "two", 3)
        arrived(held)
        same(create("two", retries=3).id, other.result().id)


def faults(api):
    """rate limits, locks and lost answers are retried under one key"""
    patient = client(retries=2).v1

    def order(outcome):
        control("faults", {"operation": "customers.create", "nth": 1, "outcome": outcome})

    for outcome in ("rate_limit", "lock_timeout"):
        order(outcome)
        refused(
            lambda name=outcome: api.customers.create(params={"name": name}),
            stripe.RateLimitError,
            status=429,
            code=outcome,
        )
        order(outcome)
        patient.customers.create(params={"name": outcome})
    for outcome in ("drop_before", "drop_after", "error_503"):
        order(outcome)
        customer = patient.customers.create(params={"name": outcome})
        same(len(control(f"effects?operation=customer.create&object={customer.id}")), 1, outcome)
        newest = api.customers.list(params={"limit": 2}).data
        same([one.name == outcome for one in newest], [True, False], outcome)
    order("drop_before")
    refused(lambda: api.customers.create(), stripe.APIConnectionError)
    order("error_500")
    for _ in range(2):
        refused(
            lambda: patient.customers.create(options={"idempotency_key": "py-500"}), stripe.APIError, status=500
        )


def error_classes(api):
    """wrong keys and parameters have the library's own error classes"""
    refused(lambda: client("sk_live_wrong").v1.balance.retrieve(), stripe.AuthenticationError, status=401)
    refused(lambda: client("pk_test_browser").v1.balance.retrieve(), stripe.PermissionError, status=403)
    refused(
        lambda: api.payment_intents.create(params={"currency": "usd"}),
        stripe.InvalidRequestError,
        code="parameter_missing",
        param="amount",
    )
    refused(
        lambda: api.customers.create(params={"colour": "red"}),
        stripe.InvalidRequestError,
        code="parameter_unknown",
        param="colour",
    )
    refused(
        lambda: api.payment_intents.create(params={"amount": 49, "currency": "usd"}),
        stripe.InvalidRequestError,
        code="amount_too_small",
    )


PARTS = [signatures, events_without_webhooks, keys, keys_in_flight, faults, error_classes]
