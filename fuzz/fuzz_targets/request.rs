//! The body of a request: the input itself, and a document made from the input as choices. None may end the program, take long
//! (libFuzzer's `-timeout`), or be allowed a larger response than the maximum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wallet_api::{Measured, measure};
use wallet_dev::documents::{Bytes, body};

fn check(request: &[u8]) {
    if let Measured::Taken { bytes, cost } = measure(request) {
        assert!(bytes <= Measured::MOST_BYTES);
        assert!(cost >= 1);
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    check(&body(&mut Bytes(bytes)));
});
