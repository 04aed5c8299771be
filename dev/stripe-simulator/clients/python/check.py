"""Runs the simulator through Stripe's own library, unmodified. STRIPE_BASE is the simulator's URL.

Prints one line at the end; the first thing that is not as Stripe has it ends the run with exit code 1.
"""

import json
import os
import platform
import sys
import time
import traceback
import urllib.request

import stripe

BASE = os.environ["STRIPE_BASE"]
KEY = "sk_test_python"


def client(key=KEY, retries=0):
    """A client of the simulator. It retries nothing unless told to, so that errors show."""
    return stripe.StripeClient(key, base_addresses={"api": BASE}, max_network_retries=retries)


def control(path, body=None):
    """A call of the simulator's control endpoint."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{BASE}/_control/{path}", data=data, headers={"content-type": "application/json"})
    # Never by way of a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as response:
        return json.load(response)


def same(seen, wanted, about=""):
    """Fails unless the two are equal."""
    if seen != wanted:
        raise AssertionError(f"{about or 'seen'}: {seen!r}, not {wanted!r}")


def refused(call, kind, **wanted):
    """Makes a call that is to be refused with this class and these properties of the error."""
    try:
        answer = call()
    except kind as error:
        told = {"status": error.http_status, "code": error.code}
        if error.error is not None:
            told.update({name: getattr(error.error, name, None) for name in ("type", "param", "decline_code", "code")})
        same({name: told.get(name) for name in wanted}, wanted, f"{type(error).__name__}: {error}")
        return error
    raise AssertionError(f"not refused: {answer}")


def until(read, field, value):
    """Reads until the field has the value."""
    seen = None
    for _ in range(200):
        seen = read()
        if seen[field] == value:
            return seen
        time.sleep(0.02)
    raise AssertionError(f"{seen['id']} never had {field} = {value}; it is {seen[field]}")


def paid(api, amount, method="pm_card_visa", **more):
    """A paid intent."""
    intent = api.payment_intents.create(
        params={
            "amount": amount,
            "currency": "usd",
            "payment_method": method,
            "confirm": True,
            "off_session": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            **more,
        }
    )
    same(intent.status, "succeeded")
    return intent


def main():
    """Runs every part."""
    import connect
    import events
    import money_back
    import payments

    parts = [part for module in (payments, money_back, connect, events) for part in module.PARTS]
    library = f"stripe-python {stripe.VERSION}"
    for part in parts:
        try:
            part(client().v1)
        except Exception:  # whatever goes wrong ends the run and is shown
            print(f"{library}: FAILED: {part.__doc__}\n{traceback.format_exc()}", file=sys.stderr)
            sys.exit(1)
    print(f"{library} on python {platform.python_version()}: {len(parts)} parts passed")


if __name__ == "__main__":
    # The parts import this module by its name; it is the same one.
    sys.modules["check"] = sys.modules["__main__"]
    main()
