// Runs the API's websocket through graphql-ws, the usual client of graphql-transport-ws, unmodified.
// API is the API's URL, TOKEN the token of somebody whose wallet is FROM, TO another wallet; the API is restarted when the file RESTART is
// there. Prints one line per part; the first thing that is not as the protocol has it ends the run with exit code 1.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { createClient } = require('graphql-ws');
const WebSocket = require('ws');

const { API, TOKEN, FROM, TO, RESTART } = process.env;
const WALLET = 'subscription($id: String!) { walletUpdated(id: $id) { balance } }';
const TRANSACTION = 'subscription($id: String!) { transactionUpdated(id: $id) { id status } }';

/** A client. It does not connect again unless told to, so that ends show. */
function client(options = {}) {
  return createClient({
    url: `${API.replace('http', 'ws')}/graphql/ws`,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${TOKEN}` },
    retryAttempts: 0,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    ...options,
  });
}

/** What a subscription tells, one value after the other. */
function values(of, query, variables) {
  const found = of.iterate({ query, variables });
  return {
    async next() {
      const { value, done } = await found.next();
      assert.equal(done, false, 'it ended');
      assert.equal(value.errors, undefined, JSON.stringify(value));
      return Object.values(value.data)[0];
    },
    async ended() {
      return (await found.next()).done;
    },
    leave: () => found.return(),
  };
}

/** Sends a tenth to the other wallet; gives the transaction's id. */
async function send() {
  const query =
    'mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }';
  const variables = { w: FROM, i: { toWalletId: TO, amount: '0.10' } };
  const response = await fetch(`${API}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()).data.transfer.id;
}

/** Reads until the balance is what it should be. */
async function until(wallet, balance) {
  let seen;
  do seen = (await wallet.next()).balance;
  while (seen !== balance);
}

/** How a subscription fails. */
function failure(of, query, variables) {
  return new Promise((resolve, reject) => {
    of.subscribe({ query, variables }, {
      next: (value) => reject(new Error(`not refused: ${JSON.stringify(value)}`)),
      error: resolve,
      complete: () => reject(new Error('not refused, but at its end')),
    });
  });
}

const parts = {
  async 'a wallet is told at once and with every change'() {
    const own = client();
    const wallet = values(own, WALLET, { id: FROM });
    assert.equal((await wallet.next()).balance, '10.00');
    await send();
    await until(wallet, '9.90');
    await wallet.leave();
    await own.dispose();
  },

  async 'a transaction is told until its end, which ends the subscription'() {
    const own = client();
    const transaction = values(own, TRANSACTION, { id: await send() });
    let status;
    while (!['COMPLETED', 'FAILED', 'CANCELLED'].includes(status)) status = (await transaction.next()).status;
    assert.equal(status, 'COMPLETED');
    assert.equal(await transaction.ended(), true);
    await own.dispose();
  },

  async 'whoever has enough says so, and others on the same websocket go on'() {
    let opened = 0;
    const own = client({ lazyCloseTimeout: 1000, on: { opened: () => (opened += 1) } });
    const [left, stays] = [values(own, WALLET, { id: FROM }), values(own, WALLET, { id: FROM })];
    assert.equal((await left.next()).balance, '9.80');
    assert.equal((await stays.next()).balance, '9.80');
    await left.leave();
    await send();
    await until(stays, '9.70');
    const again = values(own, WALLET, { id: FROM });
    assert.equal((await again.next()).balance, '9.70');
    assert.equal(opened, 1);
    await own.dispose();
  },

  async 'what is wrong with a document is told to its subscription alone'() {
    const own = client();
    const stays = values(own, WALLET, { id: FROM });
    await stays.next();
    for (const [query, variables, code] of [
      ['subscription {', {}, 'VALIDATION_ERROR'],
      ['subscription { nothing }', {}, 'VALIDATION_ERROR'],
      ['{ wallets { id } }', {}, 'VALIDATION_ERROR'],
      [WALLET, { id: 7 }, 'VALIDATION_ERROR'],
      [WALLET, { id: TO }, 'WALLET_NOT_FOUND'],
    ]) {
      const errors = await failure(own, query, variables);
      assert.equal(errors[0].extensions.code, code, `${query}: ${JSON.stringify(errors)}`);
    }
    await send();
    await until(stays, '9.60');
    await own.dispose();
  },

  async 'a token that is not believed is refused, and a new one is welcome'() {
    const refused = client({ connectionParams: { Authorization: 'Bearer nonsense' } });
    const closed = await failure(refused, WALLET, { id: FROM });
    assert.equal(closed.code, 4403);
    await refused.dispose();
    const tokens = ['nonsense', TOKEN];
    const renewed = client({
      retryAttempts: 3,
      connectionParams: () => ({ Authorization: `Bearer ${tokens.shift()}` }),
    });
    assert.equal((await values(renewed, WALLET, { id: FROM }).next()).balance, '9.60');
    assert.equal(tokens.length, 0);
    await renewed.dispose();
  },

  async 'a broken connection is made again, and what changed meanwhile is told'() {
    let opened = 0;
    const own = client({ retryAttempts: 50, on: { opened: () => (opened += 1) } });
    const wallet = values(own, WALLET, { id: FROM });
    assert.equal((await wallet.next()).balance, '9.60');
    own.terminate();
    await send();
    await until(wallet, '9.50');
    assert.equal(opened, 2);
    fs.writeFileSync(RESTART, '');
    while (opened < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    await send();
    await until(wallet, '9.40');
    await own.dispose();
  },
};

(async () => {
  for (const [name, part] of Object.entries(parts)) {
    await part();
    console.log(`graphql-ws: ${name}`);
  }
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
