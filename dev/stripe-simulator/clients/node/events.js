// Webhooks, events, idempotency keys, and faults as the library sees them.
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');

const SECRETS = { platform_secret: 'whsec_node_platform', connect_secret: 'whsec_node_connect' };

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** An endpoint for webhooks; `take(type)` gives the raw body and the signature of one that came. */
async function endpoint(control) {
  const received = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    received.push({ body: Buffer.concat(chunks), signature: request.headers['stripe-signature'] });
    response.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  await control('webhook', { url: `http://127.0.0.1:${server.address().port}/hook`, ...SECRETS });
  const take = async (type) => {
    for (let tries = 0; tries < 200; tries += 1) {
      const found = received.find((one) => JSON.parse(one.body).type === type);
      if (found) return found;
      await pause(20);
    }
    return assert.fail(`no webhook ${type}; ${received.length} others came`);
  };
  return { take, close: () => server.close() };
}

module.exports = {
  async 'the library verifies the signature of webhooks'({ stripe, control, Stripe }) {
    const hooks = await endpoint(control);
    const customer = await stripe.customers.create({ name: 'Zoë' });
    const account = await stripe.accounts.create({ type: 'express' });
    await control(`accounts/${account.id}`, { onboard: true });

    const { body, signature } = await hooks.take('customer.created');
    const event = stripe.webhooks.constructEvent(body, signature, SECRETS.platform_secret);
    assert.deepEqual([event.type, event.data.object.id, event.account], ['customer.created', customer.id, undefined]);
    assert.equal(event.request.id, customer.lastResponse.requestId);
    assert.deepEqual(await stripe.webhooks.constructEventAsync(body, signature, SECRETS.platform_secret), event);
    const wrong = { type: 'StripeSignatureVerificationError' };
    assert.throws(() => stripe.webhooks.constructEvent(body, signature, SECRETS.connect_secret), wrong);
    const tampered = Buffer.from(body.toString().replace('Zo', 'Za'));
    assert.throws(() => stripe.webhooks.constructEvent(tampered, signature, SECRETS.platform_secret), wrong);
    const late = Date.now() + 302_000;
    assert.throws(() => stripe.webhooks.constructEvent(body, signature, SECRETS.platform_secret, 300, undefined, late), wrong);

    const connected = await hooks.take('account.updated');
    const update = stripe.webhooks.constructEvent(connected.body, connected.signature, SECRETS.connect_secret);
    assert.equal(update.account, account.id);
    assert.equal(update.data.previous_attributes.payouts_enabled, false);
    const own = Stripe.webhooks.generateTestHeaderString({ payload: body.toString(), secret: SECRETS.platform_secret });
    assert.equal(Stripe.webhooks.constructEvent(body, own, SECRETS.platform_secret).id, event.id);
    hooks.close();
  },

  async 'events that no webhook delivered are found by paging'({ stripe, control }) {
    await control('webhook', { url: 'http://127.0.0.1:1/nobody', ...SECRETS });
    const before = Math.floor(Date.now() / 1000);
    const made = [];
    for (let n = 0; n < 6; n += 1) made.unshift((await stripe.customers.create({ description: `lost ${n}` })).id);
    const lost = { delivery_success: false, types: ['customer.created', 'customer.deleted'], created: { gte: before } };
    const events = await stripe.events.list({ ...lost, limit: 2 }).autoPagingToArray({ limit: 100 });
    assert.deepEqual(events.map((event) => event.data.object.id), made);
    const first = await stripe.events.retrieve(events[0].id);
    assert.deepEqual([first.type, first.data.object.id], ['customer.created', made[0]]);
    const counted = [];
    for await (const event of stripe.events.list({ type: 'customer.*', created: { gte: before }, limit: 4 })) {
      counted.push(event.id);
    }
    assert.ok(events.every((event) => counted.includes(event.id)));
    const newer = await stripe.events.list({ ...lost, ending_before: events[3].id, limit: 2 });
    assert.deepEqual(newer.data.map((event) => event.id), [events[1].id, events[2].id]);
    const none = await stripe.events.list({ ...lost, created: { gt: before + 3600 } });
    assert.deepEqual([none.data, none.has_more], [[], false]);

    const account = await stripe.accounts.create({ type: 'express' });
    await control(`accounts/${account.id}`, { onboard: true });
    const theirs = await stripe.events.list({ delivery_success: false }, { stripeAccount: account.id });
    assert.deepEqual(theirs.data.map((event) => [event.type, event.account]), [['account.updated', account.id]]);
    const ours = await stripe.events.list({ types: ['account.updated'], limit: 100 });
    assert.equal(ours.data.length, 0);
  },

  async 'a key replays the first answer and belongs to its parameters'({ stripe, refused }) {
    const params = { amount: 1000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true, return_url: 'https://a' };
    const options = { idempotencyKey: 'node-key' };
    const first = await stripe.paymentIntents.create(params, options);
    const again = await stripe.paymentIntents.create(params, options);
    assert.equal(again.id, first.id);
    assert.equal(first.lastResponse.headers['idempotent-replayed'], undefined);
    assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
    await refused(stripe.paymentIntents.create({ ...params, amount: 1001 }, options), {
      type: 'StripeIdempotencyError',
      statusCode: 400,
      rawType: 'idempotency_error',
    });
  },

  async 'a key in flight is a 409 that the library can wait out'({ stripe, client, refused, control }) {
    const slow = (ms) => control('faults', { operation: 'customers.create', nth: 1, latency_ms: ms });
    const arrived = async ({ id }) => {
      while (!(await control('faults')).some((rule) => rule.id === id && rule.hit === 1)) await pause(5);
    };
    const options = { idempotencyKey: 'node-flight-1' };
    const held = await slow(1500);
    const first = stripe.customers.create({ name: 'one' }, options);
    await arrived(held);
    await refused(stripe.customers.create({ name: 'one' }, options), {
      statusCode: 409,
      rawType: 'idempotency_error',
      code: 'idempotency_key_in_use',
    });
    const { id } = await first;
    assert.equal((await stripe.customers.create({ name: 'one' }, options)).id, id);

    const patient = client({ retries: 3 });
    const others = { idempotencyKey: 'node-flight-2' };
    const again = await slow(400);
    const two = patient.customers.create({ name: 'two' }, others);
    await arrived(again);
    assert.equal((await patient.customers.create({ name: 'two' }, others)).id, (await two).id);
  },

  async 'rate limits, locks and lost answers are retried under one key'({ stripe, client, refused, control }) {
    const patient = client({ retries: 2 });
    for (const [outcome, code] of [['rate_limit', 'rate_limit'], ['lock_timeout', 'lock_timeout']]) {
      await control('faults', { operation: 'customers.create', nth: 1, outcome });
      await refused(stripe.customers.create({ name: outcome }), { type: 'StripeRateLimitError', statusCode: 429, code });
      await control('faults', { operation: 'customers.create', nth: 1, outcome });
      await patient.customers.create({ name: outcome });
    }
    for (const outcome of ['drop_before', 'drop_after', 'error_503']) {
      await control('faults', { operation: 'customers.create', nth: 1, outcome });
      const { id } = await patient.customers.create({ name: outcome });
      const effects = await control(`effects?operation=customer.create&object=${id}`);
      assert.equal(effects.length, 1);
      const named = await stripe.customers.list({ limit: 2 });
      assert.deepEqual(named.data.map((one) => one.name === outcome), [true, false], outcome);
    }
    await control('faults', { operation: 'customers.create', nth: 1, outcome: 'error_500' });
    const options = { idempotencyKey: 'node-500' };
    for (let n = 0; n < 2; n += 1) {
      await refused(patient.customers.create({ name: '500' }, options), { type: 'StripeAPIError', statusCode: 500 });
    }
  },

  async 'wrong keys and parameters have the library\'s own error classes'({ stripe, client, refused }) {
    await refused(client({ key: 'sk_live_wrong' }).balance.retrieve(), {
      type: 'StripeAuthenticationError',
      statusCode: 401,
    });
    await refused(client({ key: 'pk_test_browser' }).balance.retrieve(), { type: 'StripePermissionError', statusCode: 403 });
    await refused(stripe.paymentIntents.create({ currency: 'usd' }), {
      type: 'StripeInvalidRequestError',
      code: 'parameter_missing',
      param: 'amount',
    });
    await refused(stripe.customers.create({ colour: 'red' }), { code: 'parameter_unknown', param: 'colour' });
    await refused(stripe.paymentIntents.create({ amount: 49, currency: 'usd' }), { code: 'amount_too_small' });
  },
};
