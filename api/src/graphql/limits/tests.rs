//! Requests that are too much, and ordinary ones that are not.

use async_graphql::Variables;
use serde_json::json;

use super::*;

/// The rules of a server that has no GraphiQL and the usual limits.
const RULES: Rules = Rules {
    introspection: false,
    wallets: 100,
};
const WITH_SCHEMA: Rules = Rules {
    introspection: true,
    ..RULES
};

fn checked(query: &str) -> Result<Shape, ApiError> {
    check(&mut Request::new(query), RULES)
}

fn refusal(query: &str) -> (String, String) {
    match checked(query) {
        Err(ApiError::Validation { field, problem }) => (field.into_owned(), problem),
        other => panic!("{query:.200}: {other:?}"),
    }
}

fn problem(query: &str) -> String {
    refusal(query).1
}

/// Whether a document is small enough, whatever it asks for.
fn bounded(query: &str) -> Result<(), String> {
    let counted = document::parse(query).and_then(|document| bounds::check(&document, false));
    counted.map_err(|error| error.to_string())
}

#[test]
fn ordinary_requests_pass() {
    for query in [
        "{ wallet(id: \"x\") { id balance } }",
        "query($n: Int) { wallet(id: \"x\") { transactions(first: $n) { edges { cursor node { id amount timeline { at } } } } } }",
        "{ wallets { id transactions(first: 100) { nodes { id amount status } pageInfo { hasNextPage endCursor } } } }",
        "{ wallets { transactions { nodes { id walletId amount fee reference description metadata failureReason direction timeline { at kind message detail } } } } }",
        "{ wallets { id balance transactions(first: 50) { nodes { id amount status metadata timeline { at message } } } } }",
        "{ wallets { id balance frozenBalance owedBalance transactions(first: 100) { edges { node { id amount fee status direction description reference metadata failureReason createdAt } } pageInfo { endCursor } } } }",
        "{ wallet(id: \"x\") { transactions(first: 100) { nodes { id metadata description senderDetails receiverDetails timeline { at kind message detail } } } } }",
        "mutation { createWallet(input: {}) { id transactions { nodes { id amount status timeline { at kind message } } } } }",
        "{ __typename }",
        "\u{feff}{ wallets { id } }",
    ] {
        assert!(checked(query).is_ok(), "{query}: {:?}", checked(query));
    }
}

#[test]
fn depth_counts_through_fragments() {
    let deep = |levels| format!("{}{}", "{a".repeat(levels), "}".repeat(levels));
    assert_eq!(bounded(&deep(8)), Ok(()));
    assert!(problem(&deep(9)).contains("nested deeper"));
    let split = "{ a { b { c { d { ...F } } } } } fragment F on T { e { f { g { h { i } } } } }";
    assert!(problem(split).contains("nested deeper"));
    assert!(problem(&"{a".repeat(50_000)).contains("nested deeper than 64 levels"));
    assert!(problem(&format!("{{ a(b: {}) }}", "[".repeat(60_000))).contains("nested deeper than 64 levels"));
}

#[test]
fn aliases_and_fragments_are_counted() {
    let aliases: String = (0..1_000)
        .map(|number| format!("a{number}: wallet(id: \"x\") {{ id }} "))
        .collect();
    assert!(problem(&format!("{{ {aliases} }}")).contains("more than 200 fields"));
}

#[test]
fn a_fragment_bomb_is_measured_at_once_and_refused() {
    let mut bomb = "{ ...F0 }".to_owned();
    for level in 0..15 {
        let spreads = format!("...F{} ", level + 1).repeat(100);
        bomb.push_str(&format!(" fragment F{level} on Query {{ {spreads} }}"));
    }
    bomb.push_str(" fragment F15 on Query { __typename }");
    assert!(problem(&bomb).contains("more than 200 fields"));
}

/// A chain of fragments, each spread `times` times in the one before.
fn chain(levels: usize, times: usize, end: &str) -> String {
    let mut chain = "{ ...F0 }".to_owned();
    for level in 0..levels {
        let spreads = format!("...F{} ", level + 1).repeat(times);
        chain.push_str(&format!(" fragment F{level} on Query {{ {spreads} }}"));
    }
    chain.push_str(&format!(" fragment F{levels} on Query {{ {end} }}"));
    chain
}

#[test]
fn a_chain_of_fragments_that_ends_nowhere_is_refused_at_once() {
    // Each would take 2^48 steps if every spread were followed.
    assert!(problem(&chain(48, 2, "...Missing")).contains("nested deeper than 32 selections"));
    assert!(problem(&chain(20, 2, "...Missing")).contains("does not exist"));
    assert!(problem(&chain(20, 2, "__typename")).contains("more than 200 fields"));
    assert!(problem(&chain(20, 2, "... { ... { ...F0 } }")).contains("into itself"));
    // Fragments that are never spread are counted like the others.
    let unused = chain(20, 2, "__typename").replacen("{ ...F0 }", "{ __typename }", 1);
    assert!(problem(&unused).contains("more than 200 fields"));
    // Spreads of nothing but spreads.
    assert!(problem(&chain(12, 4, "... @skip(if: true) { __typename }")).contains("more than 200 fields"));
}

#[test]
fn levels_upon_levels_of_fragments_do_not_take_the_stack() {
    let inline =
        |levels: usize, inside: &str| format!("{}{inside}{}", "{...".repeat(levels), "}".repeat(levels));
    let mut nested = inline(60, "{...F0}");
    for number in 0..48 {
        nested.push_str(&format!(
            " fragment F{number} on Query {}",
            inline(60, &format!("{{...F{}}}", number + 1))
        ));
    }
    nested.push_str(" fragment F48 on Query { __typename }");
    assert!(
        problem(&nested).contains("nested deeper than 32 selections"),
        "{}",
        problem(&nested)
    );
    // The same with fields, and in reach of a small stack.
    let fields = nested.replace("...{", "wallets {").replace("...}", "id }");
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let ended = small
        .spawn(move || checked(&fields).is_err() && checked(&nested).is_err())
        .unwrap();
    assert!(ended.join().unwrap());
}

#[test]
fn circular_fragments_are_refused() {
    assert!(
        problem("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }").contains("into itself")
    );
    assert!(problem("{ ...A } fragment A on Query { ...A }").contains("into itself"));
}

#[test]
fn pages_multiply() {
    let query = |first: &str| {
        format!(
            "{{ wallet(id: \"x\") {{ transactions(first: {first}) {{ nodes {{ id timeline {{ at }} }} }} }} }}"
        )
    };
    assert!(checked(&query("100")).is_ok());
    let twice = "{ a: wallet(id: \"x\") { transactions(first: 100) { nodes { id } } } b: wallet(id: \"x\") { transactions(first: 100) { nodes { timeline { at } } } } }";
    assert!(problem(twice).contains("200 rows"));
    let variables = Variables::from_json(json!({ "n": 100 }));
    let three = "query($n: Int) { a: wallets { transactions(first: $n) { nodes { id } } } b: wallets { transactions(first: $n) { nodes { id } } } c: wallets { transactions(first: $n) { nodes { id } } } }";
    assert!(check(&mut Request::new(three).variables(variables), RULES).is_err());
    let wallets: String = (0..99)
        .map(|number| format!("a{number}: wallets {{ id }} "))
        .collect();
    assert!(problem(&format!("{{ {wallets} }}")).contains("200 rows"));
}

#[test]
fn an_answer_that_would_weigh_too_much_is_refused_before_anything_is_read() {
    let aliases = |count: usize, field: &str| -> String {
        (0..count).map(|number| format!("a{number}: {field} ")).collect()
    };
    let page = |first: usize, fields: &str| {
        format!("{{ wallet(id: \"x\") {{ transactions(first: {first}) {{ nodes {{ {fields} }} }} }} }}")
    };
    for heavy in [
        page(60, &aliases(150, "metadata")),
        page(100, &aliases(190, "metadata")),
        page(100, &aliases(30, "description")),
        format!(
            "{{ wallets {{ transactions {{ nodes {{ {} }} }} }} }}",
            aliases(5, "metadata")
        ),
    ] {
        let told = problem(&heavy);
        assert!(told.contains("MiB") && told.contains("smaller pages"), "{told}");
    }
    assert!(checked(&page(60, "metadata")).is_ok());
}

#[test]
fn what_is_asked_for_once_more_is_taken_at_its_most() {
    let bytes = |query: &str| checked(query).unwrap().weight().bytes;
    for (field, most) in [
        ("metadata", 16 * 1024),
        ("description", 4 * 1024),
        ("receiverDetails", 128 * 1024),
    ] {
        let one = |fields: &str| format!("{{ transaction(id: \"x\") {{ {fields} }} }}");
        let more = bytes(&one(&format!("{field} b: {field}"))) - bytes(&one(field));
        assert!((most..most + 16).contains(&more), "{field}: {more}");
    }
    let rows = |query: &str| checked(query).unwrap().weight().rows;
    assert_eq!(rows("{ wallets { id } }"), 8);
    assert_eq!(rows("{ wallets { id } b: wallets { id } }"), 8 + 100);
    assert!(problem("{ wallets { id } b: wallets { id } c: wallets { id } }").contains("200 rows"));
    let fewer = Rules { wallets: 3, ..RULES };
    let three = check(&mut Request::new("{ wallets { id } }"), fewer).unwrap();
    assert_eq!(three.weight().rows, 3, "a list is as long as it may be");
}

#[test]
fn the_answer_of_a_mutation_is_bounded_before_its_effect() {
    let asked = "transactions(first: 100) { nodes { metadata timeline { message detail } } }";
    assert!(checked(&format!("{{ wallet(id: \"x\") {{ {asked} }} }}")).is_ok());
    let told = problem(&format!("mutation {{ createWallet(input: {{}}) {{ {asked} }} }}"));
    assert!(told.contains("MiB"), "{told}");
    let small = "mutation { cancelTransaction(transactionId: \"x\") { metadata description timeline { at kind message detail } } }";
    assert!(checked(small).is_ok());
}

#[test]
fn a_heavy_request_costs_more_and_so_does_every_look_up_at_the_root() {
    let cost = |query: &str| checked(query).unwrap().cost();
    assert_eq!(cost("{ __typename }"), 1);
    assert_eq!(cost("{ wallets { id balance } }"), 1);
    assert_eq!(
        cost("{ a: wallet(id: \"x\") { id } b: transaction(id: \"x\") { id } c: wallets { id } }"),
        3
    );
    let page = |first: usize, field: &str| {
        format!("{{ wallet(id: \"x\") {{ transactions(first: {first}) {{ nodes {{ {field} }} }} }} }}")
    };
    assert_eq!(cost(&page(20, "id amount")), 1);
    // 100 rows that usually have 2 KiB, and 100 that may have 16 KiB besides: fourteen times 128 KiB.
    assert_eq!(cost(&page(100, "metadata")), 1 + 1);
    assert_eq!(cost(&page(100, "metadata more: metadata")), 1 + 14);
    // The timelines of a page are one read.
    assert_eq!(checked(&page(100, "timeline { at }")).unwrap().weight().reads, 3);
    // The actual cost counts, if it is higher.
    let shape = checked("{ wallets { id } }").unwrap();
    assert_eq!(
        (shape.cost_of(1024 * 1024, 3), shape.cost_of(0, 250)),
        (1 + 8, 1 + 10)
    );
}

#[test]
fn directives_are_bounded_everywhere() {
    let many = "@include(if: true) ".repeat(1_000);
    for query in [
        format!("{{ wallets {many} {{ id }} }}"),
        format!("query Q {many} {{ wallets {{ id }} }}"),
        format!("{{ ... {many} {{ wallets {{ id }} }} }}"),
        format!("{{ ...F {many} }} fragment F on Query {{ wallets {{ id }} }}"),
        format!("{{ ...F }} fragment F on Query {many} {{ wallets {{ id }} }}"),
    ] {
        assert!(problem(&query).contains("5 directives"));
    }
    assert!(problem(&format!("{{ wallets {} {{ id }} }}", "@a ".repeat(21_000))).contains("tokens"));
}

#[test]
fn mutations_are_few_and_each_has_its_own_key() {
    let transfer = |alias: &str| {
        format!("{alias} transfer(fromWalletId: \"x\", input: {{ toWalletId: \"y\", amount: 1 }}) {{ id }} ")
    };
    let shape = checked(&format!("mutation {{ {} {} }}", transfer("a:"), transfer("b:"))).unwrap();
    assert_eq!((shape.mutations, shape.cost()), (2, 2));
    let hundred: String = (0..100).map(|number| transfer(&format!("a{number}:"))).collect();
    assert!(problem(&format!("mutation {{ {hundred} }}")).contains("3 mutations"));
    assert!(problem(&format!("mutation {{ {} {} }}", transfer(""), transfer(""))).contains("twice"));
    let spread = format!(
        "mutation {{ ...F ...F }} fragment F on Mutation {{ {} }}",
        transfer("")
    );
    assert!(problem(&spread).contains("twice"));
    let inline = format!(
        "mutation {{ {} ... on Mutation {{ {} }} }}",
        transfer(""),
        transfer("")
    );
    assert!(problem(&inline).contains("twice"));
    // What is skipped is not run.
    let skipped = format!(
        "mutation {{ {} ... @skip(if: true) {{ {} }} }}",
        transfer(""),
        transfer("")
    );
    assert_eq!(checked(&skipped).unwrap().mutations, 1);
}

#[test]
fn introspection_is_refused_unless_allowed() {
    for query in [
        "{ __schema { types { name } } }",
        "{ __type(name: \"Wallet\") { name } }",
        "{ wallets { id } ...F } fragment F on Query { __schema { types { name } } }",
    ] {
        assert!(problem(query).contains("schema"), "{query}");
        assert!(check(&mut Request::new(query), WITH_SCHEMA).is_ok(), "{query}");
    }
    assert!(
        check(&mut Request::new("{ __schema { types { name } } }"), WITH_SCHEMA)
            .unwrap()
            .is_introspection
    );
    assert!(
        !check(&mut Request::new("{ wallets { id } __typename }"), WITH_SCHEMA)
            .unwrap()
            .is_introspection
    );
}

#[test]
fn the_operation_must_be_clear() {
    let two = "query A { wallets { id } } mutation B { cancelTransaction(transactionId: \"x\") { id } }";
    for name in [None, Some("C")] {
        let mut request = Request::new(two);
        request.operation_name = name.map(str::to_owned);
        assert!(
            matches!(check(&mut request, RULES), Err(ApiError::Validation { field, .. }) if field == "operationName")
        );
    }
    let shape = check(&mut Request::new(two).operation_name("B"), RULES).unwrap();
    assert_eq!(shape.operation, OperationType::Mutation);
    for nothing in [
        "",
        "  ",
        "# nothing",
        "{ wallets { id }",
        "give me all wallets",
        "\u{1F600}",
    ] {
        assert!(
            problem(nothing).contains("cannot be parsed"),
            "{nothing:?}: {}",
            problem(nothing)
        );
    }
    assert!(problem("type Wallet { id: String }").contains("operations and fragments"));
}

/// A transfer with these fields of its input.
fn transfer(input: &str) -> String {
    format!("mutation {{ transfer(fromWalletId: \"x\", input: {{ {input} }}) {{ id }} }}")
}

#[test]
fn an_input_field_that_is_given_twice_is_refused() {
    for (input, named) in [
        (
            "toWalletId: \"y\", amount: \"1.00\", amount: \"1000.00\"",
            "amount",
        ),
        ("toWalletId: \"y\", toWalletId: \"z\", amount: 1", "toWalletId"),
        (
            "toWalletId: \"y\", amount: 1, metadata: { a: 1, b: { c: 1, c: 2 } }",
            "metadata",
        ),
        (
            "toWalletId: \"y\", amount: 1, metadata: { a: [{ c: 1, c: 1 }] }",
            "metadata",
        ),
    ] {
        let (field, problem) = refusal(&transfer(input));
        assert_eq!(field, named, "{input}");
        assert!(problem.contains("twice"), "{problem}");
    }
    let default = "query($a: JSON = { b: 1, b: 2 }) { wallets { id } }";
    assert!(problem(default).contains("twice"));
    let argument = "{ wallet(id: \"x\", id: \"y\") { id } }";
    assert_eq!(refusal(argument).0, "id");
}

#[test]
fn a_number_in_a_document_keeps_every_digit_or_is_refused() {
    for (input, named) in [
        ("toWalletId: \"y\", amount: 0.10000000000000000001", "amount"),
        ("toWalletId: \"y\", amount: 1e400", "amount"),
        (
            "toWalletId: \"y\", amount: 1, metadata: { a: 18446744073709551616 }",
            "metadata",
        ),
        (
            "toWalletId: \"y\", amount: 1, metadata: { a: [12345678901234567.89] }",
            "metadata",
        ),
    ] {
        let (field, problem) = refusal(&transfer(input));
        assert_eq!(field, named, "{input}");
        assert!(problem.contains("altered"), "{problem}");
    }
    assert!(
        checked(&transfer(
            "toWalletId: \"y\", amount: 12.50, metadata: { a: 9007199254740993 }"
        ))
        .is_ok()
    );
}

#[test]
fn results_that_cannot_be_merged_are_refused_wherever_they_stand() {
    for conflicting in [
        "{ wallet(id: \"x\") { a: id ... on Wallet { a: currency } } }",
        "{ wallet(id: \"x\") { a: id ... { a: currency } } }",
        "{ wallet(id: \"x\") { a: id ...F } } fragment F on Wallet { a: currency }",
        "{ wallet(id: \"x\") { id } ... { wallet(id: \"y\") { id } } }",
        "{ wallet(id: \"x\") { ... { transactions(first: 1) { nodes { id } } } transactions(first: 2) { nodes { id } } } }",
    ] {
        assert!(checked(conflicting).is_err(), "{conflicting}");
    }
    let same = "{ wallet(id: \"x\") { id ... { id } ...F } ... { wallet(id: \"x\") { currency } } } fragment F on Wallet { id }";
    let shape = checked(same).unwrap();
    assert_eq!(
        shape.cost(),
        1,
        "one result is read once, however often it is selected"
    );
}

#[test]
fn what_is_wrong_with_a_value_is_told_by_its_field() {
    for (query, named) in [
        (transfer("toWalletId: \"y\""), "amount"),
        (transfer("toWalletId: \"y\", amount: 1, balance: 5"), "balance"),
        (transfer("toWalletId: 7, amount: 1"), "toWalletId"),
        ("{ wallet { id } }".to_owned(), "id"),
        ("{ wallet(id: 7) { id } }".to_owned(), "id"),
        (
            "{ wallet(id: \"x\") { transactions(status: DONE) { nodes { id } } } }".to_owned(),
            "status",
        ),
        ("{ walet { id } }".to_owned(), "query"),
        ("query($x: Int) { wallet(id: $x) { id } }".to_owned(), "query"),
    ] {
        assert_eq!(refusal(&query).0, named, "{query}");
    }
}

#[test]
fn escapes_of_characters_beyond_the_basic_plane_are_read() {
    for text in ["\\uD83D\\uDE00", "\\u{1F600}", "😀"] {
        let query = transfer(&format!("toWalletId: \"y\", amount: 1, description: \"{text}\""));
        let mut request = Request::new(query);
        check(&mut request, RULES).unwrap();
        let document = format!("{:?}", request.parsed_query().unwrap());
        assert!(document.contains('😀'), "{document}");
    }
    for lone in ["\\uD83D", "\\uDE00\\uD83D", "\\uD83Dx", "\\u{D83D}"] {
        let query = transfer(&format!("toWalletId: \"y\", amount: 1, description: \"{lone}\""));
        assert!(problem(&query).contains("cannot be parsed"), "{lone}");
    }
}
