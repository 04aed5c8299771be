// Connected accounts, transfers, reversals and payouts.
'use strict';

const assert = require('node:assert/strict');

/** An express account whose owner has followed the link. */
async function onboarded(stripe) {
  const account = await stripe.accounts.create({
    type: 'express',
    country: 'US',
    email: 'payee@example.com',
    capabilities: { transfers: { requested: true } },
    settings: { payouts: { schedule: { interval: 'manual' } } },
    metadata: { user_id: 'u1' },
  });
  const link = await stripe.accountLinks.create({
    account: account.id,
    type: 'account_onboarding',
    refresh_url: 'https://example.com/again',
    return_url: 'https://example.com/back',
  });
  const page = await fetch(link.url, { redirect: 'manual' });
  assert.equal(page.headers.get('location'), 'https://example.com/back');
  return account;
}

module.exports = {
  async 'an account is opened by its owner and changed by the platform'({ stripe, refused }) {
    const account = await onboarded(stripe);
    assert.deepEqual([account.type, account.payouts_enabled, account.metadata.user_id], ['express', false, 'u1']);
    assert.ok(account.requirements.currently_due.length > 0);
    const open = await stripe.accounts.retrieve(account.id);
    assert.deepEqual([open.payouts_enabled, open.charges_enabled, open.details_submitted], [true, true, true]);
    assert.equal(open.settings.payouts.schedule.interval, 'manual');
    assert.equal(open.external_accounts.data[0].object, 'bank_account');
    const daily = await stripe.accounts.update(account.id, { settings: { payouts: { schedule: { interval: 'daily' } } } });
    assert.equal(daily.settings.payouts.schedule.interval, 'daily');
    const listed = await stripe.accounts.list({ limit: 100 });
    assert.ok(listed.data.some((one) => one.id === account.id));
    await refused(stripe.accounts.retrieve('acct_none'), {
      type: 'StripePermissionError',
      statusCode: 403,
      code: 'account_invalid',
    });
  },

  async 'transfers need money, are found by their group and can be reversed'({ stripe, refused }) {
    const account = await onboarded(stripe);
    const params = { amount: 4000, currency: 'usd', destination: account.id, transfer_group: 'node-g' };
    await refused(stripe.transfers.create({ ...params, amount: 900000000 }), {
      type: 'StripeInvalidRequestError',
      statusCode: 400,
      code: 'balance_insufficient',
    });
    const transfer = await stripe.transfers.create({ ...params, metadata: { transaction_id: 'node-t' } });
    assert.deepEqual([transfer.amount_reversed, transfer.reversed], [0, false]);
    const found = await stripe.transfers.list({ transfer_group: 'node-g' });
    assert.deepEqual(found.data.map((one) => one.id), [transfer.id]);
    const reversal = await stripe.transfers.createReversal(transfer.id, { amount: 1500, metadata: { transaction_id: 'node-t' } });
    assert.deepEqual([reversal.object, reversal.transfer], ['transfer_reversal', transfer.id]);
    await refused(stripe.transfers.createReversal(transfer.id, { amount: 2501 }), { statusCode: 400, param: 'amount' });
    const reversals = await stripe.transfers.listReversals(transfer.id);
    assert.deepEqual(reversals.data.map((one) => one.id), [reversal.id]);
    assert.equal((await stripe.transfers.retrieveReversal(transfer.id, reversal.id)).amount, 1500);
    const after = await stripe.transfers.retrieve(transfer.id);
    assert.deepEqual([after.amount_reversed, after.reversed, after.reversals.data.length], [1500, false, 1]);
    const balance = await stripe.balance.retrieve({}, { stripeAccount: account.id });
    assert.equal(balance.available[0].amount, 2500);
  },

  async 'payouts belong to their account and are paid or fail'({ stripe, refused, until }) {
    const account = await onboarded(stripe);
    const as = { stripeAccount: account.id };
    await stripe.transfers.create({ amount: 5000, currency: 'usd', destination: account.id });
    const payout = await stripe.payouts.create(
      { amount: 3000, currency: 'usd', metadata: { transaction_id: 'node-p' } },
      { ...as, idempotencyKey: 'node-payout' },
    );
    assert.deepEqual([payout.status, payout.automatic], ['pending', false]);
    await refused(stripe.payouts.retrieve(payout.id), { statusCode: 404, code: 'resource_missing' });
    await until(() => stripe.payouts.retrieve(payout.id, {}, as), 'status', 'paid');
    await refused(stripe.payouts.create({ amount: 2001, currency: 'usd' }, as), { code: 'balance_insufficient' });
    const bank = await stripe.accounts.createExternalAccount(account.id, {
      external_account: {
        object: 'bank_account',
        country: 'US',
        currency: 'usd',
        routing_number: '110000000',
        account_number: '000111111116',
      },
    });
    const doomed = await stripe.payouts.create({ amount: 1000, currency: 'usd', destination: bank.id }, as);
    const failed = await until(
      () => stripe.payouts.retrieve(doomed.id, { expand: ['failure_balance_transaction'] }, as),
      'status',
      'failed',
    );
    assert.deepEqual([failed.failure_code, failed.failure_balance_transaction.net], ['no_account', 1000]);
    const all = await stripe.payouts.list({ limit: 1 }, as).autoPagingToArray({ limit: 10 });
    assert.deepEqual(all.map((one) => one.id), [doomed.id, payout.id]);
    const paid = await stripe.payouts.list({ status: 'paid' }, as);
    assert.deepEqual(paid.data.map((one) => one.id), [payout.id]);
  },

  async 'an account that took our access away does not exist any more'({ stripe, refused, control }) {
    const account = await onboarded(stripe);
    await control(`accounts/${account.id}/deauthorize`, {});
    await refused(stripe.balance.retrieve({}, { stripeAccount: account.id }), { type: 'StripePermissionError' });
    await refused(stripe.transfers.create({ amount: 100, currency: 'usd', destination: account.id }), { statusCode: 400 });
  },
};
