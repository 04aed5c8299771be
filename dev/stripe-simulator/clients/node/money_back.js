// Refunds, disputes, and the balance that explains them.
'use strict';

const assert = require('node:assert/strict');

module.exports = {
  async 'refunds are partial, bounded and listed'({ stripe, refused, paid }) {
    const { id } = await paid(stripe, 1000);
    const refund = await stripe.refunds.create({
      payment_intent: id,
      amount: 300,
      reason: 'requested_by_customer',
      metadata: { transaction_id: 'node-r' },
    });
    assert.deepEqual([refund.status, refund.amount, refund.payment_intent], ['succeeded', 300, id]);
    await refused(stripe.refunds.create({ payment_intent: id, amount: 701 }), {
      type: 'StripeInvalidRequestError',
      statusCode: 400,
      param: 'amount',
    });
    const rest = await stripe.refunds.create({ payment_intent: id });
    await refused(stripe.refunds.create({ payment_intent: id }), {
      type: 'StripeInvalidRequestError',
      code: 'charge_already_refunded',
    });
    const all = await stripe.refunds.list({ payment_intent: id, limit: 1 }).autoPagingToArray({ limit: 10 });
    assert.deepEqual(all.map((one) => one.id), [rest.id, refund.id]);
    assert.equal((await stripe.refunds.update(refund.id, { metadata: { note: 'x' } })).metadata.note, 'x');
  },

  async 'a refund can be pending first, and fail after it succeeded'({ stripe, paid, until }) {
    const waiting = await paid(stripe, 1000, 'pm_card_pendingRefund');
    const pending = await stripe.refunds.create({ payment_intent: waiting.id });
    assert.deepEqual([pending.status, pending.pending_reason], ['pending', 'processing']);
    await until(() => stripe.refunds.retrieve(pending.id), 'status', 'succeeded');
    const lost = await paid(stripe, 1000, 'pm_card_refundFail');
    const refund = await stripe.refunds.create({ payment_intent: lost.id });
    assert.equal(refund.status, 'succeeded');
    const failed = await until(
      () => stripe.refunds.retrieve(refund.id, { expand: ['failure_balance_transaction'] }),
      'status',
      'failed',
    );
    assert.equal(failed.failure_reason, 'unknown');
    assert.deepEqual(
      [failed.failure_balance_transaction.type, failed.failure_balance_transaction.net],
      ['refund_failure', 1000],
    );
  },

  async 'a dispute takes amount and fee, and winning gives the amount back'({ stripe, refused, paid, control }) {
    const { id, latest_charge: charge } = await paid(stripe, 1000, 'pm_card_createDispute');
    const { data } = await stripe.disputes.list({ payment_intent: id });
    assert.deepEqual([data.length, data[0].status, data[0].charge], [1, 'needs_response', charge]);
    const taken = (dispute) => dispute.balance_transactions.map((row) => [row.amount, row.fee, row.net]);
    assert.deepEqual(taken(data[0]), [[-1000, 1500, -2500]]);
    await refused(stripe.refunds.create({ payment_intent: id }), { code: 'charge_disputed' });
    const reviewed = await stripe.disputes.update(data[0].id, { evidence: { product_description: 'a room' }, submit: true });
    assert.equal(reviewed.status, 'under_review');
    await control(`disputes/${data[0].id}`, { status: 'won' });
    const won = await stripe.disputes.retrieve(data[0].id, { expand: ['charge'] });
    assert.deepEqual([won.status, won.charge.id], ['won', charge]);
    assert.deepEqual(taken(won), [[-1000, 1500, -2500], [1000, 0, 1000]]);
  },

  async 'an inquiry takes nothing and is closed by a refund'({ stripe, paid }) {
    const { id } = await paid(stripe, 1000, 'pm_card_createDisputeInquiry');
    const { data } = await stripe.disputes.list({ payment_intent: id });
    assert.deepEqual([data[0].status, data[0].balance_transactions.length], ['warning_needs_response', 0]);
    assert.equal((await stripe.refunds.create({ payment_intent: id })).status, 'succeeded');
    assert.equal((await stripe.disputes.close(data[0].id)).status, 'warning_closed');
  },

  async 'every change of the balance is a balance transaction'({ stripe, paid }) {
    const { latest_charge: charge } = await paid(stripe, 5000);
    const all = await stripe.balanceTransactions.list({ limit: 5 }).autoPagingToArray({ limit: 10000 });
    const dollars = all.filter((row) => row.currency === 'usd');
    assert.equal(new Set(all.map((row) => row.id)).size, all.length);
    const balance = await stripe.balance.retrieve();
    const of = (amounts) => amounts.find((one) => one.currency === 'usd').amount;
    const sum = dollars.reduce((total, row) => total + row.net, 0);
    assert.equal(sum, of(balance.available) + of(balance.pending));
    const own = await stripe.balanceTransactions.list({ source: charge, type: 'charge', expand: ['data.source'] });
    assert.deepEqual([own.data.length, own.data[0].source.id, own.data[0].fee], [1, charge, 175]);
    assert.equal((await stripe.balanceTransactions.retrieve(own.data[0].id)).net, 4825);
  },
};
