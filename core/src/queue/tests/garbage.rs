//! A foreign program writes into the queue's Redis: what is not a task is put aside, and work continues.

use super::*;

/// Sabotages a running queue, checks that one more job is still handled, and returns what was put aside.
async fn after(sabotage: impl Fn(&RedisProcess)) -> Vec<String> {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let consumer = Running::start(&transport, 4, seen.at_once());
    push_until_it_works(&transport, one_each(0..3)).await;
    eventually("it works before", || seen.count() == 3).await;
    assert!(transport.mark_present(QUEUE).await.is_ok());
    sabotage(&redis);
    let begun = Instant::now();
    let mut aside = Vec::new();
    // Pushes again until the job is handled, as the dispatcher does.
    for round in 1.. {
        aside.extend(consumer.health.take_put_aside());
        if seen.has(100) && !aside.is_empty() {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it stands still: {aside:?}"
        );
        let _ = transport.push(QUEUE, one_each(100..101)).await;
        tokio::time::sleep(Duration::from_millis(50 * round.min(10))).await;
    }
    consumer.stop().await;
    aside
}

/// Puts a task into the active list as apalis writes it, with one field of its metadata set to `value`.
fn task(redis: &RedisProcess, id: &str, field: &str, value: &str) {
    let meta = format!("test:{{transfers}}:meta:{id}");
    let _: i64 = redis.run(&["HSET", "test:{transfers}:data", id, "{\"v\":1,\"jobs\":[7]}"]);
    let _: i64 = redis.run(&[
        "HSET",
        &meta,
        "attempts",
        "0",
        "max_attempts",
        "5",
        "status",
        "Pending",
    ]);
    let _: i64 = redis.run(&["HSET", &meta, field, value]);
    let _: i64 = redis.run(&["RPUSH", "test:{transfers}:active", id]);
}

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_makes_no_sense_is_put_aside() {
    for (field, value) in [
        ("status", "Sleeping"),
        ("attempts", "many"),
        ("attempts", "-1"),
        ("max_attempts", "99999999999"),
    ] {
        let aside = after(|redis| task(redis, ID, field, value)).await;
        assert!(
            aside.iter().all(|what| what.starts_with("a task has ")),
            "{field}={value}: {aside:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_type_are_put_aside() {
    for (key, make) in [
        ("active", ["SET", "x"].as_slice()),
        ("data", &["LPUSH", "x"]),
        ("scheduled", &["HSET", "x", "y"]),
        ("workers", &["SET", "x"]),
        ("members", &["SET", "x"]),
        ("done", &["LPUSH", "x"]),
    ] {
        let key = format!("test:{{transfers}}:{key}");
        let aside = after(|redis| {
            let _: i64 = redis.run(&["DEL", &key]);
            let [command, values @ ..] = make else {
                panic!("a command")
            };
            let all: Vec<&str> = [*command, key.as_str()]
                .into_iter()
                .chain(values.iter().copied())
                .collect();
            let _: redis::Value = redis.run(&all);
        })
        .await;
        assert!(
            aside.iter().any(|what| what.starts_with(&key)),
            "{key}: {aside:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_task_in_the_list_is_put_aside() {
    let aside = after(|redis| {
        for what in ["hello", "", "01ARZ3NDEKTSV4RRFFQ69G5FA\u{fc}"] {
            let _: i64 = redis.run(&["RPUSH", "test:{transfers}:active", what]);
        }
        let _: i64 = redis.run(&["LPUSH", &format!("test:{{transfers}}:meta:{ID}"), "x"]);
        let _: i64 = redis.run(&["HSET", "test:{transfers}:data", ID, "x"]);
        let _: i64 = redis.run(&["RPUSH", "test:{transfers}:active", ID]);
    })
    .await;
    assert!(
        aside.contains(&"a task has no id of a task".to_owned()),
        "{aside:?}"
    );
    assert!(
        aside.contains(&"a task has a list for its metadata".to_owned()),
        "{aside:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_no_version_wrote_is_told() {
    let aside = after(|redis| {
        task(redis, ID, "status", "Pending");
        let _: i64 = redis.run(&["HSET", "test:{transfers}:data", ID, "garbage"]);
    })
    .await;
    assert_eq!(aside, ["the payload of a task could not be read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_aside_is_bounded_and_goes_by_itself() {
    let redis = RedisProcess::start();
    let transport = transport(&redis).await;
    for n in 0..500 {
        let _: i64 = redis.run(&["RPUSH", "test:{transfers}:active", &format!("garbage {n}")]);
    }
    transport.push(QUEUE, one_each(0..2)).await.unwrap();
    assert_eq!(transport.put_aside(QUEUE).await.unwrap().len(), 20);
    assert_eq!(redis.run::<i64>(&["LLEN", "test:{transfers}:aside"]), 100);
    assert!(redis.run::<i64>(&["TTL", "test:{transfers}:aside"]) > 0);
    assert_eq!(
        redis.run::<i64>(&["LLEN", "test:{transfers}:active"]),
        2,
        "tasks stay, in their order"
    );
    assert!(transport.put_aside(QUEUE).await.unwrap().is_empty());
}

/// While nothing can be pushed, nothing is fetched or finished either; that must still be noticed.
#[tokio::test(flavor = "multi_thread")]
async fn what_pushers_write_is_looked_at_while_nothing_is_fetched() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let consumer = Running::start(&transport, 4, seen.at_once());
    push_until_it_works(&transport, one_each(0..1)).await;
    eventually("it works before", || seen.count() == 1).await;
    // By then the finished tasks are purged.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _: i64 = redis.run(&["DEL", "test:{transfers}:data"]);
    let _: i64 = redis.run(&["LPUSH", "test:{transfers}:data", "x"]);
    eventually("it to be put aside", || {
        !consumer.health.take_put_aside().is_empty()
    })
    .await;
    assert!(transport.push(QUEUE, one_each(1..2)).await.is_ok());
    eventually("it works after", || seen.count() == 2).await;
    consumer.stop().await;
}
