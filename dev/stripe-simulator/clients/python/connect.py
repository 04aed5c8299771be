"""Connected accounts, transfers, reversals and payouts."""

import urllib.parse
import urllib.request

import stripe
from check import control, refused, same, until


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_args):
        return None


def onboarded(api):
    """An express account whose owner has followed the link."""
    account = api.accounts.create(
        params={
            "type": "express",
            "country": "US",
            "email": "payee@example.com",
            "capabilities": {"transfers": {"requested": True}},
            "settings": {"payouts": {"schedule": {"interval": "manual"}}},
            "metadata": {"user_id": "u1"},
        }
    )
    link = api.account_links.create(
        params={
            "account": account.id,
            "type": "account_onboarding",
            "refresh_url": "https://example.com/again",
            "return_url": "https://example.com/back",
        }
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())
    try:
        opener.open(link.url, timeout=5)
    except urllib.error.HTTPError as page:
        same([page.code, page.headers["location"]], [303, "https://example.com/back"])
    return account


def accounts(api):
    """an account is opened by its owner and changed by the platform"""
    account = onboarded(api)
    same([account.type, account.payouts_enabled, account.metadata["user_id"]], ["express", False, "u1"])
    assert account.requirements.currently_due
    ready = api.accounts.retrieve(account.id)
    same([ready.payouts_enabled, ready.charges_enabled, ready.details_submitted], [True, True, True])
    same(ready.settings.payouts.schedule.interval, "manual")
    same(ready.external_accounts.data[0].object, "bank_account")
    daily = {"settings": {"payouts": {"schedule": {"interval": "daily"}}}}
    same(api.accounts.update(account.id, params=daily).settings.payouts.schedule.interval, "daily")
    assert account.id in [one.id for one in api.accounts.list(params={"limit": 100}).data]
    refused(
        lambda: api.accounts.retrieve("acct_none"), stripe.PermissionError, status=403, code="account_invalid"
    )


def transfers(api):
    """transfers need money, are found by their group and can be reversed"""
    account = onboarded(api).id
    params = {"amount": 4_000, "currency": "usd", "destination": account, "transfer_group": "py-g"}
    refused(
        lambda: api.transfers.create(params={**params, "amount": 900_000_000}),
        stripe.InvalidRequestError,
        status=400,
        code="balance_insufficient",
    )
    transfer = api.transfers.create(params={**params, "metadata": {"transaction_id": "py-t"}})
    same([transfer.amount_reversed, transfer.reversed], [0, False])
    found = api.transfers.list(params={"transfer_group": "py-g"})
    same([one.id for one in found.data], [transfer.id])
    back = {"amount": 1_500, "metadata": {"transaction_id": "py-t"}}
    reversal = api.transfers.reversals.create(transfer.id, params=back)
    same([reversal.object, reversal.transfer], ["transfer_reversal", transfer.id])
    refused(
        lambda: api.transfers.reversals.create(transfer.id, params={"amount": 2_501}),
        stripe.InvalidRequestError,
        status=400,
        param="amount",
    )
    same([one.id for one in api.transfers.reversals.list(transfer.id).data], [reversal.id])
    same(api.transfers.reversals.retrieve(transfer.id, reversal.id).amount, 1_500)
    after = api.transfers.retrieve(transfer.id)
    same([after.amount_reversed, after.reversed, len(after.reversals.data)], [1_500, False, 1])
    same(api.balance.retrieve(options={"stripe_account": account}).available[0].amount, 2_500)


def payouts(api):
    """payouts belong to their account and are paid or fail"""
    account = onboarded(api).id
    there = {"stripe_account": account}
    api.transfers.create(params={"amount": 5_000, "currency": "usd", "destination": account})
    payout = api.payouts.create(
        params={"amount": 3_000, "currency": "usd", "metadata": {"transaction_id": "py-p"}},
        options={**there, "idempotency_key": "py-payout"},
    )
    same([payout.status, payout.automatic], ["pending", False])
    refused(
        lambda: api.payouts.retrieve(payout.id), stripe.InvalidRequestError, status=404, code="resource_missing"
    )
    until(lambda: api.payouts.retrieve(payout.id, options=there), "status", "paid")
    refused(
        lambda: api.payouts.create(params={"amount": 2_001, "currency": "usd"}, options=there),
        stripe.InvalidRequestError,
        code="balance_insufficient",
    )
    bank = api.accounts.external_accounts.create(
        account,
        params={
            "external_account": {
                "object": "bank_account",
                "country": "US",
                "currency": "usd",
                "routing_number": "110000000",
                "account_number": "000111111116",
            }
        },
    )
    doomed = api.payouts.create(
        params={"amount": 1_000, "currency": "usd", "destination": bank.id}, options=there
    )
    expanded = {"expand": ["failure_balance_transaction"]}
    failed = until(lambda: api.payouts.retrieve(doomed.id, params=expanded, options=there), "status", "failed")
    same([failed.failure_code, failed.failure_balance_transaction.net], ["no_account", 1_000])
    pages = api.payouts.list(params={"limit": 1}, options=there)
    same([one.id for one in pages.auto_paging_iter()], [doomed.id, payout.id])
    paid = api.payouts.list(params={"status": "paid"}, options=there)
    same([one.id for one in paid.data], [payout.id])


def deauthorised(api):
    """an account that took our access away does not exist any more"""
    account = onboarded(api).id
    control(f"accounts/{account}/deauthorize", {})
    refused(lambda: api.balance.retrieve(options={"stripe_account": account}), stripe.PermissionError, status=403)
    params = {"amount": 100, "currency": "usd", "destination": account}
    refused(lambda: api.transfers.create(params=params), stripe.InvalidRequestError, status=400)


PARTS = [accounts, transfers, payouts, deauthorised]
