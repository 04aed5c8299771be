//! No document, however it was made, keeps the API busy or is promised more than an answer may weigh.
//!
//! `bin/bench documents` measures on release programs how much processor time one takes, and `fuzz/` searches for worse ones; here each must
//! end at all, within the stack of a debug program.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use wallet_api::{Measured, measure};
use wallet_dev::documents::{Bytes, MOST_BYTES, body, numbered};

fn holds(request: &[u8]) -> bool {
    match measure(request) {
        Measured::Taken { bytes, cost } => bytes <= Measured::MOST_BYTES && cost >= 1,
        Measured::Refused => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 32, ..ProptestConfig::default() })]

    #[test]
    fn no_document_by_number_is_promised_more_than_an_answer_may_weigh(seed: u64) {
        prop_assert!(holds(&numbered(seed)));
    }

    #[test]
    fn no_document_by_choices_is_promised_more_than_an_answer_may_weigh(
        choices in proptest::collection::vec(any::<u8>(), 0..512)
    ) {
        prop_assert!(holds(&body(&mut Bytes(&choices))));
    }

    #[test]
    fn no_body_of_any_bytes_ends_the_program(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(holds(&bytes));
    }
}

#[test]
fn the_committed_corpus_of_the_fuzz_target_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/request");
    let mut seen = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let sent = fs::read(&path).unwrap();
        assert!(sent.len() <= MOST_BYTES, "{path:?}");
        assert!(holds(&sent), "{path:?}");
        assert!(holds(&body(&mut Bytes(&sent))), "{path:?}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}
