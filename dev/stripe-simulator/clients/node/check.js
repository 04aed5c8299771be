// Runs the simulator through Stripe's own library, unmodified. STRIPE_BASE is the simulator's URL.
// Prints one line per part; the first thing that is not as Stripe has it ends the run with exit code 1.
'use strict';

const assert = require('node:assert/strict');
const Stripe = require('stripe');

const base = new URL(process.env.STRIPE_BASE);
const version = Stripe.PACKAGE_VERSION;
const KEY = 'sk_test_node';

/** A client of the simulator. It retries nothing unless told to, so that errors show. */
function client(options = {}) {
  return new Stripe(options.key ?? KEY, {
    protocol: base.protocol.replace(':', ''),
    host: base.hostname,
    port: base.port,
    maxNetworkRetries: options.retries ?? 0,
    timeout: 5000,
    telemetry: false,
  });
}

/** A call of the simulator's control endpoint. */
async function control(path, body) {
  const response = await fetch(new URL(`/_control/${path}`, base), {
    method: body === undefined ? 'GET' : 'POST',
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  const answer = await response.json();
  assert.equal(response.status, 200, `control ${path}: ${JSON.stringify(answer)}`);
  return answer;
}

/** Waits for a call to be refused with these properties; `type` is the library's class. */
async function refused(promise, wanted) {
  const error = await promise.then(
    (answer) => assert.fail(`not refused: ${JSON.stringify(answer)}`),
    (error) => error,
  );
  const seen = Object.fromEntries(Object.keys(wanted).map((key) => [key, error[key]]));
  assert.deepEqual(seen, wanted, `${error.type}: ${error.message}`);
  return error;
}

/** Reads until `field` is `value`. */
async function until(read, field, value) {
  let object;
  for (let tries = 0; tries < 200; tries += 1) {
    object = await read();
    if (object[field] === value) return object;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`${object.id} never had ${field} = ${value}; it is ${object[field]}`);
}

/** A paid intent. */
async function paid(stripe, amount, method = 'pm_card_visa', more = {}) {
  const intent = await stripe.paymentIntents.create({
    amount,
    currency: 'usd',
    payment_method: method,
    confirm: true,
    off_session: true,
    automatic_payment_methods: { enabled: true, allow_redirects: 'never' },
    ...more,
  });
  assert.equal(intent.status, 'succeeded');
  return intent;
}

async function main() {
  const help = { stripe: client(), client, control, refused, until, paid, Stripe };
  const parts = { ...require('./payments'), ...require('./money_back'), ...require('./connect'), ...require('./events') };
  for (const [name, part] of Object.entries(parts)) {
    try {
      await part(help);
    } catch (error) {
      console.error(`stripe-node ${version}: FAILED: ${name}\n${error.stack}`);
      process.exit(1);
    }
  }
  console.log(`stripe-node ${version} on node ${process.versions.node}: ${Object.keys(parts).length} parts passed`);
  // Connections that are kept alive would hold us for seconds.
  process.exit(0);
}

main();
