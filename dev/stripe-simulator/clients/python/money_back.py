"""Refunds, disputes, and the balance that explains them."""

import stripe
from check import control, paid, refused, same, until


def refunds(api):
    """refunds are partial, bounded and listed"""
    intent = paid(api, 1_000).id
    refund = api.refunds.create(
        params={
            "payment_intent": intent,
            "amount": 300,
            "reason": "requested_by_customer",
            "metadata": {"transaction_id": "py-r"},
        }
    )
    same([refund.status, refund.amount, refund.payment_intent], ["succeeded", 300, intent])
    too_much = {"payment_intent": intent, "amount": 701}
    refused(lambda: api.refunds.create(params=too_much), stripe.InvalidRequestError, status=400, param="amount")
    rest = api.refunds.create(params={"payment_intent": intent})
    refused(
        lambda: api.refunds.create(params={"payment_intent": intent}),
        stripe.InvalidRequestError,
        code="charge_already_refunded",
    )
    pages = api.refunds.list(params={"payment_intent": intent, "limit": 1})
    same([one.id for one in pages.auto_paging_iter()], [rest.id, refund.id])
    same(api.refunds.update(refund.id, params={"metadata": {"note": "x"}}).metadata["note"], "x")


def refunds_that_wait_or_fail(api):
    """a refund can be pending first, and fail after it succeeded"""
    waiting = paid(api, 1_000, "pm_card_pendingRefund").id
    pending = api.refunds.create(params={"payment_intent": waiting})
    same([pending.status, pending.pending_reason], ["pending", "processing"])
    until(lambda: api.refunds.retrieve(pending.id), "status", "succeeded")
    lost = paid(api, 1_000, "pm_card_refundFail").id
    refund = api.refunds.create(params={"payment_intent": lost})
    same(refund.status, "succeeded")
    expanded = {"expand": ["failure_balance_transaction"]}
    failed = until(lambda: api.refunds.retrieve(refund.id, params=expanded), "status", "failed")
    same(failed.failure_reason, "unknown")
    row = failed.failure_balance_transaction
    same([row.type, row.net], ["refund_failure", 1_000])


def disputes(api):
    """a dispute takes amount and fee, and winning gives the amount back"""
    intent = paid(api, 1_000, "pm_card_createDispute")
    (dispute,) = api.disputes.list(params={"payment_intent": intent.id}).data
    same([dispute.status, dispute.charge], ["needs_response", intent.latest_charge])

    def moved(of):
        return [(row.amount, row.fee, row.net) for row in of.balance_transactions]

    same(moved(dispute), [(-1_000, 1_500, -2_500)])
    refused(
        lambda: api.refunds.create(params={"payment_intent": intent.id}),
        stripe.InvalidRequestError,
        code="charge_disputed",
    )
    evidence = {"evidence": {"product_description": "a room"}, "submit": True}
    same(api.disputes.update(dispute.id, params=evidence).status, "under_review")
    control(f"disputes/{dispute.id}", {"status": "won"})
    won = api.disputes.retrieve(dispute.id, params={"expand": ["charge"]})
    same([won.status, won.charge.id], ["won", intent.latest_charge])
    same(moved(won), [(-1_000, 1_500, -2_500), (1_000, 0, 1_000)])


def inquiries(api):
    """an inquiry takes nothing and is closed by a refund"""
    intent = paid(api, 1_000, "pm_card_createDisputeInquiry").id
    (inquiry,) = api.disputes.list(params={"payment_intent": intent}).data
    same([inquiry.status, inquiry.balance_transactions], ["warning_needs_response", []])
    same(api.refunds.create(params={"payment_intent": intent}).status, "succeeded")
    same(api.disputes.close(inquiry.id).status, "warning_closed")


def balance(api):
    """every change of the balance is a balance transaction"""
    charge = paid(api, 5_000).latest_charge
    rows = list(api.balance_transactions.list(params={"limit": 5}).auto_paging_iter())
    same(len({row.id for row in rows}), len(rows))
    now = api.balance.retrieve()
    held = sum(one.amount for one in [*now.available, *now.pending] if one.currency == "usd")
    same(sum(row.net for row in rows if row.currency == "usd"), held)
    own = {"source": charge, "type": "charge", "expand": ["data.source"]}
    (row,) = api.balance_transactions.list(params=own).data
    same([row.source.id, row.fee], [charge, 175])
    same(api.balance_transactions.retrieve(row.id).net, 4_825)


PARTS = [refunds, refunds_that_wait_or_fail, disputes, inquiries, balance]
