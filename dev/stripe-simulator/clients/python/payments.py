"""Customers, payment methods and payment intents."""

import stripe
from check import control, paid, refused, same, until


def customers(api):
    """customers are created, read, changed, listed and deleted"""
    customer = api.customers.create(params={"email": "py@example.com", "metadata": {"user_id": "u1", "a": "1"}})
    assert customer.id.startswith("cus_") and customer.last_response.request_id.startswith("req_")
    changed = api.customers.update(customer.id, params={"name": "P", "metadata": {"a": ""}})
    same(changed.metadata.to_dict(), {"user_id": "u1"})
    same(api.customers.retrieve(customer.id).name, "P")
    found = api.customers.list(params={"email": "py@example.com"})
    same([one.id for one in found.data], [customer.id])
    same(api.customers.delete(customer.id).deleted, True)
    refused(
        lambda: api.customers.retrieve("cus_none"),
        stripe.InvalidRequestError,
        status=404,
        code="resource_missing",
        param="id",
    )


def payment_methods(api):
    """payment methods are made, attached, listed and detached"""
    customer = api.customers.create()
    made = api.payment_methods.create(params={"type": "card", "card": {"token": "tok_visa"}})
    same(made.card.brand, "visa")
    attached = api.payment_methods.attach("pm_card_mastercard", params={"customer": customer.id})
    same(attached.customer, customer.id)
    same(api.payment_methods.retrieve(attached.id).card.last4, "4444")
    listed = api.payment_methods.list(params={"customer": customer.id, "type": "card"})
    same([one.id for one in listed.data], [attached.id])
    same(len(api.customers.payment_methods.list(customer.id).data), 1)
    same(api.payment_methods.detach(attached.id).customer, None)


def confirmed_by_the_server(api):
    """a server confirms a payment and reads the fee from the expanded charge"""
    customer = api.customers.create()
    method = api.payment_methods.attach("pm_card_visa", params={"customer": customer.id})
    intent = api.payment_intents.create(
        params={
            "amount": 10_000,
            "currency": "usd",
            "customer": customer.id,
            "allowed_payment_method_types": ["card"],
            "metadata": {"transaction_id": "py-1"},
        }
    )
    same(intent.status, "requires_payment_method")
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    confirmed = api.payment_intents.confirm(
        intent.id,
        params={
            "payment_method": method.id,
            "off_session": True,
            "expand": ["latest_charge.balance_transaction", "customer"],
        },
    )
    same([confirmed.status, confirmed.amount_received], ["succeeded", 10_000])
    same(confirmed.customer.id, customer.id)
    row = confirmed.latest_charge.balance_transaction
    same([row.amount, row.fee, row.net], [10_000, 320, 9_680])
    charge = api.charges.retrieve(confirmed.latest_charge.id, params={"expand": ["balance_transaction"]})
    same(charge.balance_transaction.id, row.id)
    charges = api.charges.list(params={"payment_intent": intent.id})
    same([one.id for one in charges.data], [charge.id])


def declined(api):
    """a decline is a card error that shows the intent"""
    error = refused(
        lambda: paid(api, 1_000, "pm_card_chargeDeclinedInsufficientFunds"),
        stripe.CardError,
        status=402,
        code="card_declined",
        decline_code="insufficient_funds",
    )
    shown = error.error.payment_intent
    same(shown.status, "requires_payment_method")
    same(shown.last_payment_error.code, "card_declined")
    assert error.request_id.startswith("req_")
    same(api.payment_intents.cancel(shown.id).status, "canceled")


def authentication(api):
    """authentication is a decline off session and an action on session"""
    refused(
        lambda: paid(api, 1_000, "pm_card_authenticationRequired"),
        stripe.CardError,
        code="authentication_required",
    )
    asked = api.payment_intents.create(
        params={
            "amount": 1_000,
            "currency": "usd",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://example.com/back",
        }
    )
    same([asked.status, asked.next_action.type], ["requires_action", "use_stripe_sdk"])
    control(f"payment_intents/{asked.id}/authenticate", {})
    same(api.payment_intents.retrieve(asked.id).status, "succeeded")


def cancelled(api):
    """an intent is cancelled once and never after it succeeded"""
    opened = api.payment_intents.create(params={"amount": 1_000, "currency": "usd"})
    ended = api.payment_intents.cancel(opened.id, params={"cancellation_reason": "abandoned"})
    same([ended.status, ended.cancellation_reason], ["canceled", "abandoned"])
    intent = paid(api, 1_000)
    error = refused(
        lambda: api.payment_intents.cancel(intent.id),
        stripe.InvalidRequestError,
        status=400,
        code="payment_intent_unexpected_state",
    )
    same(error.error.payment_intent.status, "succeeded")


def listed(api):
    """intents are listed page by page and by themselves"""
    customer = api.customers.create().id
    made = []
    for number in range(7):
        params = {"amount": 1_000 + number, "currency": "eur", "customer": customer}
        made.insert(0, api.payment_intents.create(params=params).id)
    first = api.payment_intents.list(params={"customer": customer, "limit": 3})
    same([first.has_more, len(first.data)], [True, 3])
    after = {"customer": customer, "limit": 3, "starting_after": first.data[2].id}
    second = api.payment_intents.list(params=after)
    same([one.id for one in first.data + second.data], made[:6])
    before = {"customer": customer, "limit": 3, "ending_before": second.data[0].id}
    same([one.id for one in api.payment_intents.list(params=before).data], made[:3])
    pages = api.payment_intents.list(params={"customer": customer, "limit": 2})
    same([one.id for one in pages.auto_paging_iter()], made)
    later = {"customer": customer, "created": {"gte": first.data[0].created + 60}}
    same(api.payment_intents.list(params=later).data, [])


def bank_debits(api):
    """a bank debit is processing before it succeeds or fails"""
    for method, end in (("success", "succeeded"), ("accountClosed", "requires_payment_method")):
        debit = api.payment_intents.create(
            params={
                "amount": 2_500,
                "currency": "usd",
                "payment_method": f"pm_usBankAccount_{method}",
                "allowed_payment_method_types": ["us_bank_account"],
                "confirm": True,
            }
        )
        same(debit.status, "processing")
        until(lambda intent=debit.id: api.payment_intents.retrieve(intent), "status", end)


PARTS = [
    customers,
    payment_methods,
    confirmed_by_the_server,
    declined,
    authentication,
    cancelled,
    listed,
    bank_debits,
]
