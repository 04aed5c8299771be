//! Hostile requests, meant to be too much for their reader. They are made from choices, so that a seed, a fuzzer or a test can repeat them.
//!
//! None of them is meant to be answered. What each kind attacks is documented with its function.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

/// The maximum size of a body that the API reads, in bytes.
pub const MOST_BYTES: usize = 64 * 1024;

const KINDS: usize = 9;

/// Names of the schema, and some that are not in it.
const NAMES: [&str; 24] = [
    "wallets",
    "wallet",
    "transaction",
    "transactions",
    "nodes",
    "edges",
    "node",
    "cursor",
    "pageInfo",
    "timeline",
    "metadata",
    "description",
    "detail",
    "id",
    "balance",
    "amount",
    "__typename",
    "__schema",
    "types",
    "fields",
    "transfer",
    "input",
    "Missing",
    "x",
];
const TYPES: [&str; 8] = [
    "Query",
    "Wallet",
    "WalletTransaction",
    "TransactionConnection",
    "Mutation",
    "Subscription",
    "String",
    "Nothing",
];
const PIECES: [&str; 24] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "...",
    ":",
    "$",
    "@",
    "!",
    "=",
    "\"",
    "\"\"\"",
    "#",
    "\n",
    ",",
    "on ",
    "fragment F on Query",
    "query",
    "-1.5e3",
    "\\uD83D",
    "\u{feff}",
    "&",
];

/// A source of choices.
pub trait Choices {
    /// Returns a number below `bound`, which is at least one.
    fn below(&mut self, bound: usize) -> usize;
}

impl Choices for SmallRng {
    fn below(&mut self, bound: usize) -> usize {
        self.random_range(0..bound.max(1))
    }
}

/// Choices from the bytes of a fuzzer; zero once they are used up.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Choices for Bytes<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let (taken, rest) = self.0.split_at_checked(2).unwrap_or((self.0, &[]));
        self.0 = rest;
        let value = taken.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
        value % bound.max(1)
    }
}

/// Returns the body of a request of at most [`MOST_BYTES`], made from this seed.
#[must_use]
pub fn numbered(seed: u64) -> Vec<u8> {
    body(&mut SmallRng::seed_from_u64(seed))
}

/// Returns the body of a request of at most [`MOST_BYTES`].
pub fn body(choices: &mut dyn Choices) -> Vec<u8> {
    let variables = variables(choices);
    let mut document = document(choices);
    loop {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let over = body.len().saturating_sub(MOST_BYTES);
        if over == 0 {
            return body.into_bytes();
        }
        let most = document.len().saturating_sub(over);
        let ends = |at: &usize| document.is_char_boundary(*at);
        let keep = (0..=most).rev().find(ends).unwrap_or_default();
        document.truncate(keep);
        if keep == 0 {
            return json!({ "query": "" }).to_string().into_bytes();
        }
    }
}

/// Returns a document, sometimes somewhat larger than the maximum.
fn document(choices: &mut dyn Choices) -> String {
    match choices.below(KINDS) {
        0 => chain(choices),
        1 => aliases(choices),
        2 => nested(choices),
        3 => tree(choices),
        4 => values(choices),
        5 => soup(choices),
        6 => heavy(choices),
        7 => nested_fragments(choices),
        _ => definitions(choices),
    }
}

fn pick<'a>(choices: &mut dyn Choices, from: &[&'a str]) -> &'a str {
    from.get(choices.below(from.len())).copied().unwrap_or("x")
}

/// Attacks code that follows every spread: each fragment spreads the next one several times.
fn chain(choices: &mut dyn Choices) -> String {
    let (levels, times) = (1 + choices.below(1_200), 1 + choices.below(100));
    let end = pick(
        choices,
        &[
            "...Missing",
            "__typename",
            "...F0",
            "wallets { id }",
            "x",
            "... { ...F1 }",
        ],
    );
    let mut text = "{ ...F0 }".to_owned();
    for level in 0..levels {
        if text.len() > MOST_BYTES {
            break;
        }
        let spreads = format!("...F{} ", level + 1).repeat(times);
        text.push_str(&format!("fragment F{level} on Query{{{spreads}}}"));
    }
    format!("{text}fragment F{levels} on Query{{{end}}}")
}

/// Attacks code that compares every two fields.
fn aliases(choices: &mut dyn Choices) -> String {
    let (field, same) = (pick(choices, &NAMES), choices.below(3));
    let inner = pick(
        choices,
        &[
            "",
            "{id}",
            "(id:\"x\"){id}",
            "(id:$v0){id}",
            "{transactions{nodes{id}}}",
            "(first:1)",
        ],
    );
    let mut text = "{".to_owned();
    let mut number = 0;
    while text.len() < MOST_BYTES {
        match same {
            0 => text.push_str(&format!("a{number}:{field}{inner} ")),
            1 => text.push_str(&format!("{field}{inner} ")),
            _ => text.push_str(&format!("...{{{field}{inner}}}")),
        }
        number += 1;
    }
    text.push('}');
    text
}

/// Attacks the stack of recursive code.
fn nested(choices: &mut dyn Choices) -> String {
    let levels = 1 + choices.below(20_000);
    let (open, close) = match choices.below(8) {
        0 => ("{wallets", "}"),
        1 => ("{...", "}"),
        2 => ("[", "]"),
        3 => ("{a:", "}"),
        4 => ("{a(b:[", "])}"),
        5 => ("query($a:[", "])"),
        6 => ("{...on Query", "}"),
        _ => ("@a(b:{", "})"),
    };
    let front = pick(choices, &["", "{a(b:", "query($a:", "query($a:X="]);
    format!("{front}{}x{}", open.repeat(levels), close.repeat(levels))
}

/// Attacks whatever the other kinds leave out, with random fields, arguments, directives and fragments.
fn tree(choices: &mut dyn Choices) -> String {
    let mut text = pick(
        choices,
        &[
            "query Q($v0:Int,$v1:JSON)",
            "mutation",
            "subscription",
            "",
            "query($v0:String!)",
        ],
    )
    .to_owned();
    selections(choices, &mut text, 0);
    for number in 0..choices.below(40) {
        text.push_str(&format!(" fragment F{number} on {}", pick(choices, &TYPES)));
        selections(choices, &mut text, 0);
    }
    text
}

fn selections(choices: &mut dyn Choices, text: &mut String, level: usize) {
    text.push('{');
    for _ in 0..=choices.below(6) {
        if text.len() > MOST_BYTES {
            break;
        }
        match choices.below(8) {
            0 => text.push_str(&format!("...F{} ", choices.below(40))),
            1 if level < 12 => {
                text.push_str("...");
                selections(choices, text, level + 1);
            }
            _ => {
                if choices.below(3) == 0 {
                    text.push_str(&format!("a{}:", choices.below(4)));
                }
                text.push_str(pick(choices, &NAMES));
                match choices.below(6) {
                    0 => text.push_str("(first:100)"),
                    1 => text.push_str("(id:\"x\")"),
                    2 => text.push_str("@include(if:$v0)"),
                    _ => {}
                }
                if level < 12 && choices.below(2) == 0 {
                    selections(choices, text, level + 1);
                }
                text.push(' ');
            }
        }
    }
    text.push('}');
}

/// Attacks code that copies values, or that takes numbers and escapes at face value.
fn values(choices: &mut dyn Choices) -> String {
    let part = match choices.below(9) {
        0 => "1,".to_owned(),
        1 => "{a:1},".to_owned(),
        2 => "\"\\uD83D\\uDE00\",".to_owned(),
        3 => format!("1e{},", choices.below(60_000)),
        4 => format!("0.{}1,", "0".repeat(choices.below(400))),
        5 => "$v1,".to_owned(),
        6 => "\"\"\"\n  \\\"\"\" \n\"\"\"".to_owned(),
        7 => "9".repeat(1 + choices.below(60_000)),
        _ => "{a:1,a:2},".to_owned(),
    };
    let times = 1 + MOST_BYTES / part.len().max(1);
    let list = part.repeat(choices.below(times) + 1);
    format!(
        "mutation{{transfer(fromWalletId:\"x\",input:{{toWalletId:\"y\",amount:1,metadata:{{a:[{list}]}}}}){{id}}}}"
    )
}

/// Attacks the parser.
fn soup(choices: &mut dyn Choices) -> String {
    let most = 1 + choices.below(MOST_BYTES);
    let mut text = String::new();
    let only = (choices.below(3) == 0).then(|| pick(choices, &PIECES));
    while text.len() < most {
        match only {
            Some(piece) => text.push_str(piece),
            None if choices.below(3) == 0 => text.push_str(pick(choices, &NAMES)),
            None => text.push_str(pick(choices, &PIECES)),
        }
        if choices.below(64) == 0 {
            text.push(' ');
        }
    }
    text
}

/// Attacks the size of the response, within what may be requested.
fn heavy(choices: &mut dyn Choices) -> String {
    let field = pick(
        choices,
        &[
            "metadata",
            "description",
            "timeline{message detail}",
            "id",
            "reference",
        ],
    );
    let (aliases, first, roots) = (
        1 + choices.below(190),
        1 + choices.below(100),
        1 + choices.below(4),
    );
    let fields: String = (0..aliases).map(|number| format!("a{number}:{field} ")).collect();
    let list = pick(choices, &["nodes", "edges{node"]);
    let close = if list == "nodes" { "" } else { "}" };
    let root = pick(choices, &["wallet(id:\"x\")", "wallets"]);
    let roots: String = (0..roots)
        .map(|number| format!("r{number}:{root}{{transactions(first:{first}){{{list}{{{fields}}}{close}}}}}"))
        .collect();
    format!("{{{roots}}}")
}

/// Attacks the stack by way of both: fragments in fragments in inline fragments.
fn nested_fragments(choices: &mut dyn Choices) -> String {
    let (levels, fragments) = (1 + choices.below(62), 1 + choices.below(60));
    let inside = |name: &str| format!("{}{{...{name}}}{}", "{...".repeat(levels), "}".repeat(levels));
    let mut text = inside("F0");
    for number in 0..fragments {
        text.push_str(&format!(
            "fragment F{number} on Query{}",
            inside(&format!("F{}", number + 1))
        ));
    }
    format!("{text}fragment F{fragments} on Query{{__typename}}")
}

/// Attacks code that visits every definition for every other one.
fn definitions(choices: &mut dyn Choices) -> String {
    let part = pick(
        choices,
        &[
            "query Q#{__typename}",
            "fragment F# on Query{...F0}",
            "fragment F# on Missing{x}",
            "{a}",
            "type T#{a:B}",
            "fragment F on Query{a}",
        ],
    );
    let mut text = "{...F0}".to_owned();
    let mut number = 0;
    while text.len() < MOST_BYTES {
        text.push_str(&part.replace('#', &number.to_string()));
        number += 1;
    }
    text
}

fn variables(choices: &mut dyn Choices) -> serde_json::Value {
    match choices.below(6) {
        0 => json!({ "v0": 1, "v1": { "a": [1, 2.5, null, "x"] } }),
        1 => (0..choices.below(70)).fold(json!(1), |inner, _| json!({ "v1": inner })),
        2 => json!({ "v1": vec![0.1; choices.below(8_000)] }),
        3 => json!({ "v0": true, "v1": "\u{1F600}".repeat(choices.below(8_000)) }),
        4 => json!(null),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_always_makes_the_same_body_and_none_is_too_large() {
        for seed in 0..50 {
            let made = numbered(seed);
            assert!(made.len() <= MOST_BYTES, "{seed}: {}", made.len());
            assert_eq!(made, numbered(seed));
        }
        assert!(body(&mut Bytes(&[])).len() <= MOST_BYTES);
    }
}
