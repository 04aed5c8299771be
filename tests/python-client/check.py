"""Runs the API's websocket through gql 4 (WebsocketsTransport), the usual client of GraphQL for Python, unmodified.

API is the API's URL, TOKEN the token of somebody whose wallet is FROM with 10.00 in it, TO another wallet. Prints one line per part; the first
thing that is not as the protocol has it ends the run with exit code 1.
"""

import asyncio
import json
import os
import urllib.request

from gql import Client, gql
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

API, TOKEN, FROM, TO = (os.environ[name] for name in ("API", "TOKEN", "FROM", "TO"))
WALLET = "subscription($id: String!) { walletUpdated(id: $id) { balance } }"
TRANSACTION = "subscription($id: String!) { transactionUpdated(id: $id) { id status } }"
TRANSFER = "mutation($w: String!, $i: TransferInput!) { transfer(fromWalletId: $w, input: $i) { id } }"


def client(token=TOKEN):
    """A client as its documentation has it: nothing is said of the protocol, which client and server agree on."""
    url = API.replace("http", "ws", 1) + "/graphql/ws"
    return Client(transport=WebsocketsTransport(url=url, init_payload={"Authorization": f"Bearer {token}"}))


def asked(text, **variables):
    """A request."""
    request = gql(text)
    request.variable_values = variables
    return request


def send():
    """Sends a tenth to the other wallet; gives the transaction's id."""
    body = {"query": TRANSFER, "variables": {"w": FROM, "i": {"toWalletId": TO, "amount": "0.10"}}}
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(f"{API}/graphql", json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)["data"]["transfer"]["id"]


async def a_wallet_is_told_at_once_and_with_every_change():
    async with client() as session:
        assert session.transport.subprotocol == "graphql-transport-ws", session.transport.subprotocol
        seen = []
        async for told in session.subscribe(asked(WALLET, id=FROM)):
            seen.append(told["walletUpdated"]["balance"])
            if len(seen) == 1:
                await asyncio.to_thread(send)
            if seen[-1] == "9.90":
                break
        assert seen[0] == "10.00", seen


async def a_transaction_is_told_until_its_end_which_ends_the_subscription():
    identity = await asyncio.to_thread(send)
    async with client() as session:
        states = [told["transactionUpdated"]["status"] async for told in session.subscribe(asked(TRANSACTION, id=identity))]
    assert states[-1] == "COMPLETED", states


async def what_is_wrong_with_a_document_is_told_to_its_subscription_alone():
    async with client() as session:
        for text, code in [("subscription { nothing }", "VALIDATION_ERROR"), (WALLET, "WALLET_NOT_FOUND")]:
            try:
                async for told in session.subscribe(asked(text, id=TO)):
                    raise AssertionError(f"not refused: {told}")
            except TransportQueryError as error:
                assert error.errors[0]["extensions"]["code"] == code, error.errors
        async for told in session.subscribe(asked(WALLET, id=FROM)):
            assert told["walletUpdated"]["balance"] == "9.80", told
            break


async def a_token_that_is_not_believed_is_refused():
    try:
        async with client("nonsense") as session:
            async for told in session.subscribe(asked(WALLET, id=FROM)):
                raise AssertionError(f"not refused: {told}")
    except TransportError:
        return
    raise AssertionError("not refused")


async def main():
    for part in [
        a_wallet_is_told_at_once_and_with_every_change,
        a_transaction_is_told_until_its_end_which_ends_the_subscription,
        what_is_wrong_with_a_document_is_told_to_its_subscription_alone,
        a_token_that_is_not_believed_is_refused,
    ]:
        await asyncio.wait_for(part(), 30)
        print(f"gql: {part.__name__.replace('_', ' ')}", flush=True)


asyncio.run(main())
