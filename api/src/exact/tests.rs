//! Numbers and keys that are kept, and those that cannot be.

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn field(text: &str) -> Option<(String, String)> {
    match variables(&raw(text)) {
        Err(ApiError::Validation { field, problem }) => Some((field.into_owned(), problem)),
        _ => None,
    }
}

#[test]
fn a_number_that_would_become_another_is_refused() {
    for altered in [
        "18446744073709551616",
        "-9223372036854775809",
        "12345678901234567.89",
        "0.30000000000000000001",
        "0.10000000000000000001",
        "0.1000000000000000055511151231257827",
        "1e400",
        "-1e400",
        "1e-400",
        "123456789012345678901234567890",
        "9007199254740993.0",
        "1e99999999999999999999",
    ] {
        assert_eq!(number(altered), Err(Refused::Altered(altered.to_owned())));
    }
}

#[test]
fn a_number_that_is_kept_is_written_as_the_same_number_at_once_and_later() {
    for (text, written) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0.0"),
        ("12.50", "12.5"),
        ("0.1", "0.1"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        // As PostgreSQL writes them back.
        ("1e19", "10000000000000000000"),
        ("-1E18", "-1000000000000000000"),
        ("1.0e16", "10000000000000000"),
        ("1e20", "1e+20"),
        ("1e-7", "1e-7"),
        ("5e-324", "5e-324"),
        ("0.000", "0.0"),
    ] {
        let kept = number(text).unwrap();
        assert_eq!(kept.to_string(), written, "{text}");
    }
}

#[test]
fn a_key_given_twice_is_refused_however_it_is_spelled_and_wherever_it_stands() {
    for (text, named) in [
        (r#"{"input":{"amount":"1.00","amount":"1000.00"}}"#, "amount"),
        (r#"{"input":{"amount":"1.00","\u0061mount":"1000.00"}}"#, "amount"),
        (r#"{"input":{"metadata":{"a":{"b":1,"b":1}}}}"#, "metadata"),
        (r#"{"a":1,"a":2}"#, "a"),
        (r#"{"metadata":[{"x":1,"x":2}]}"#, "metadata"),
    ] {
        let (field, problem) = field(text).unwrap();
        assert_eq!(field, named, "{text}");
        assert!(problem.contains("twice"), "{problem}");
    }
    assert!(field(r#"{"a":{"x":1},"b":{"x":1}}"#).is_none());
}

#[test]
fn a_number_is_named_by_its_field() {
    for (text, named) in [
        (r#"{"input":{"amount":0.10000000000000000001}}"#, "amount"),
        (
            r#"{"input":{"metadata":{"deep":[1,{"n":18446744073709551616}]}}}"#,
            "metadata",
        ),
        (r#"{"metadata":{"n":1e400}}"#, "metadata"),
    ] {
        assert_eq!(field(text).unwrap().0, named, "{text}");
    }
}

#[test]
fn variables_are_an_object_of_bounded_depth() {
    assert!(variables(&raw("null")).unwrap().is_empty());
    for wrong in ["[]", "1", "\"a\""] {
        assert_eq!(field(wrong).unwrap().0, "variables");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(field(&deep).unwrap().0, "body");
    for (lone, named) in [
        (r#"{"a":"\uD83D"}"#, "a"),
        (r#"{"input":{"description":"a\ud800"}}"#, "description"),
        (r#"{"input":{"metadata":{"\uDE00":1}}}"#, "metadata"),
        (
            r#"{"input":{"bankDetails":{"accountName":"\uDE00"}}}"#,
            "bankDetails.accountName",
        ),
    ] {
        let (field, problem) = field(lone).unwrap();
        assert_eq!(field, named, "{lone}");
        assert!(problem.contains("lone surrogate"), "{problem}");
    }
    let pair = variables(&raw(r#"{"a":"\uD83D\uDE00"}"#)).unwrap();
    assert_eq!(pair.get("a"), Some(&Value::from("😀")));
}

#[test]
fn variables_are_what_any_reader_of_json_finds_there() {
    for text in [
        "{}",
        " { } ",
        "{\"a\":[],\"b\":{},\"c\":[[],[{}]]}",
        "{ \"a\" : [ 1 , -2 , 2.5 , \"x\" , true , false , null ] ,\n\t\"b\" : { \"c\" : [ { \"d\" : [ 7 ] } , 8 ] } }",
        r#"{"q\"uo,te":"a]b}c:d,\"e\\","\u00e4":"{[\"]}","":""}"#,
    ] {
        let read = variables(&raw(text.trim())).unwrap();
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), expected, "{text}");
    }
}
