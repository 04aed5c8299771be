// Customers, payment methods and payment intents.
'use strict';

const assert = require('node:assert/strict');

module.exports = {
  async 'customers are created, read, changed, listed and deleted'({ stripe, refused }) {
    const customer = await stripe.customers.create({ email: 'node@example.com', metadata: { user_id: 'u1', a: '1' } });
    assert.match(customer.id, /^cus_/);
    assert.match(customer.lastResponse.requestId, /^req_/);
    const changed = await stripe.customers.update(customer.id, { name: 'N', metadata: { a: '' } });
    assert.deepEqual({ ...changed.metadata }, { user_id: 'u1' });
    assert.equal((await stripe.customers.retrieve(customer.id)).name, 'N');
    const found = await stripe.customers.list({ email: 'node@example.com' });
    assert.deepEqual(found.data.map((one) => one.id), [customer.id]);
    assert.equal((await stripe.customers.del(customer.id)).deleted, true);
    await refused(stripe.customers.retrieve('cus_none'), {
      type: 'StripeInvalidRequestError',
      statusCode: 404,
      code: 'resource_missing',
      param: 'id',
    });
  },

  async 'payment methods are made, attached, listed and detached'({ stripe }) {
    const customer = await stripe.customers.create({});
    const made = await stripe.paymentMethods.create({ type: 'card', card: { token: 'tok_visa' } });
    assert.equal(made.card.brand, 'visa');
    const attached = await stripe.paymentMethods.attach('pm_card_mastercard', { customer: customer.id });
    assert.equal(attached.customer, customer.id);
    assert.equal((await stripe.paymentMethods.retrieve(attached.id)).card.last4, '4444');
    const listed = await stripe.paymentMethods.list({ customer: customer.id, type: 'card' });
    assert.deepEqual(listed.data.map((one) => one.id), [attached.id]);
    const own = await stripe.customers.listPaymentMethods(customer.id);
    assert.equal(own.data.length, 1);
    assert.equal((await stripe.paymentMethods.detach(attached.id)).customer, null);
  },

  async 'a server confirms a payment and reads the fee from the expanded charge'({ stripe }) {
    const customer = await stripe.customers.create({});
    const method = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
    const intent = await stripe.paymentIntents.create({
      amount: 10000,
      currency: 'usd',
      customer: customer.id,
      allowed_payment_method_types: ['card'],
      metadata: { transaction_id: 'node-1' },
    });
    assert.equal(intent.status, 'requires_payment_method');
    assert.match(intent.client_secret, new RegExp(`^${intent.id}_secret_`));
    const confirmed = await stripe.paymentIntents.confirm(intent.id, {
      payment_method: method.id,
      off_session: true,
      expand: ['latest_charge.balance_transaction', 'customer'],
    });
    assert.equal(confirmed.status, 'succeeded');
    assert.equal(confirmed.amount_received, 10000);
    assert.equal(confirmed.customer.id, customer.id);
    const { balance_transaction: transaction } = confirmed.latest_charge;
    assert.deepEqual([transaction.amount, transaction.fee, transaction.net], [10000, 320, 9680]);
    const charge = await stripe.charges.retrieve(confirmed.latest_charge.id, { expand: ['balance_transaction'] });
    assert.equal(charge.balance_transaction.id, transaction.id);
    assert.equal(charge.payment_method_details.card.brand, 'visa');
    const charges = await stripe.charges.list({ payment_intent: intent.id });
    assert.deepEqual(charges.data.map((one) => one.id), [charge.id]);
  },

  async 'a decline is a card error that shows the intent'({ stripe, refused, paid }) {
    const error = await refused(paid(stripe, 1000, 'pm_card_chargeDeclinedInsufficientFunds'), {
      type: 'StripeCardError',
      statusCode: 402,
      code: 'card_declined',
      decline_code: 'insufficient_funds',
    });
    assert.equal(error.payment_intent.status, 'requires_payment_method');
    assert.equal(error.payment_intent.last_payment_error.code, 'card_declined');
    assert.match(error.requestId, /^req_/);
    const cancelled = await stripe.paymentIntents.cancel(error.payment_intent.id);
    assert.equal(cancelled.status, 'canceled');
  },

  async 'authentication is a decline off session and an action on session'({ stripe, refused, paid, control }) {
    await refused(paid(stripe, 1000, 'pm_card_authenticationRequired'), {
      type: 'StripeCardError',
      code: 'authentication_required',
    });
    const asked = await stripe.paymentIntents.create({
      amount: 1000,
      currency: 'usd',
      payment_method: 'pm_card_authenticationRequired',
      confirm: true,
      return_url: 'https://example.com/back',
    });
    assert.equal(asked.status, 'requires_action');
    assert.equal(asked.next_action.type, 'use_stripe_sdk');
    await control(`payment_intents/${asked.id}/authenticate`, {});
    assert.equal((await stripe.paymentIntents.retrieve(asked.id)).status, 'succeeded');
  },

  async 'an intent is cancelled once and never after it succeeded'({ stripe, refused, paid }) {
    const open = await stripe.paymentIntents.create({ amount: 1000, currency: 'usd' });
    const cancelled = await stripe.paymentIntents.cancel(open.id, { cancellation_reason: 'abandoned' });
    assert.deepEqual([cancelled.status, cancelled.cancellation_reason], ['canceled', 'abandoned']);
    const { id } = await paid(stripe, 1000);
    const error = await refused(stripe.paymentIntents.cancel(id), {
      type: 'StripeInvalidRequestError',
      statusCode: 400,
      code: 'payment_intent_unexpected_state',
    });
    assert.equal(error.payment_intent.status, 'succeeded');
  },

  async 'intents are listed page by page and by themselves'({ stripe }) {
    const customer = await stripe.customers.create({});
    const made = [];
    for (let n = 0; n < 7; n += 1) {
      const intent = await stripe.paymentIntents.create({ amount: 1000 + n, currency: 'eur', customer: customer.id });
      made.unshift(intent.id);
    }
    const first = await stripe.paymentIntents.list({ customer: customer.id, limit: 3 });
    assert.deepEqual([first.has_more, first.data.length], [true, 3]);
    const second = await stripe.paymentIntents.list({ customer: customer.id, limit: 3, starting_after: first.data[2].id });
    assert.deepEqual([...first.data, ...second.data].map((one) => one.id), made.slice(0, 6));
    const back = await stripe.paymentIntents.list({ customer: customer.id, limit: 3, ending_before: second.data[0].id });
    assert.deepEqual(back.data, first.data);
    const all = await stripe.paymentIntents.list({ customer: customer.id, limit: 2 }).autoPagingToArray({ limit: 100 });
    assert.deepEqual(all.map((one) => one.id), made);
    const since = await stripe.paymentIntents.list({ customer: customer.id, created: { gte: all[0].created + 60 } });
    assert.equal(since.data.length, 0);
  },

  async 'a bank debit is processing before it succeeds or fails'({ stripe, until }) {
    for (const [method, end] of [['success', 'succeeded'], ['accountClosed', 'requires_payment_method']]) {
      const debit = await stripe.paymentIntents.create({
        amount: 2500,
        currency: 'usd',
        payment_method: `pm_usBankAccount_${method}`,
        allowed_payment_method_types: ['us_bank_account'],
        confirm: true,
      });
      assert.equal(debit.status, 'processing');
      await until(() => stripe.paymentIntents.retrieve(debit.id), 'status', end);
    }
  },
};
