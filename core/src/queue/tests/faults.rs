//! Redis stalls, is emptied, goes away and comes back; handlers panic.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_of_redis_drops_no_handler_and_work_goes_on() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let consumer = Running::start(&transport, 4, seen.after(Duration::from_millis(300)));
    push_until_it_works(&transport, one_each(0..4)).await;
    eventually("fetched", || {
        redis.run::<i64>(&["LLEN", "test:{transfers}:active"]) == 0
    })
    .await;
    let _: () = redis.run(&["CLIENT", "PAUSE", "1500"]);
    eventually("the handlers ended", || seen.count() == 4).await;
    push_until_it_works(&transport, one_each(4..8)).await;
    eventually("work goes on", || seen.count() == 8).await;
    assert_eq!(
        consumer.health.restarts(),
        0,
        "a stall this short does not end the worker"
    );
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_flushall_the_marker_is_gone_once_and_new_pushes_are_handled() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    assert!(
        !transport.mark_present(QUEUE).await.unwrap(),
        "a new Redis is an empty one"
    );
    assert!(transport.mark_present(QUEUE).await.unwrap());
    let consumer = Running::start(&transport, 2, seen.after(Duration::from_millis(200)));
    for round in 0..5 {
        let job = round * 2;
        push_until_it_works(&transport, one_each(job..job + 1)).await;
        eventually("fetched", || {
            redis.run::<i64>(&["LLEN", "test:{transfers}:active"]) == 0
        })
        .await;
        let _: () = redis.run(&["FLUSHALL"]);
        assert!(!transport.mark_present(QUEUE).await.unwrap());
        assert!(transport.mark_present(QUEUE).await.unwrap());
        push_until_it_works(&transport, one_each(job + 1..job + 2)).await;
        eventually("handled", || seen.has(job) && seen.has(job + 1)).await;
    }
    assert!(
        consumer.health.restarts() >= 1,
        "the worker's registration was lost with the rest"
    );
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_be_away_at_the_start_and_go_and_come_back() {
    let mut redis = RedisProcess::start();
    redis.kill();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let begun = Instant::now();
    assert!(transport.check_writable().await.is_err());
    assert!(transport.push(QUEUE, one_each(0..1)).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let consumer = Running::start(&transport, 2, seen.at_once());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(consumer.health.since_last_poll(), None);
    for life in 1..=2 {
        redis.start_again();
        push_until_it_works(&transport, one_each(life..life + 1)).await;
        eventually("handled", || seen.has(life)).await;
        assert!(consumer.health.since_last_poll().unwrap() < Duration::from_secs(1));
        redis.kill();
        assert!(transport.waiting(QUEUE).await.is_err());
    }
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_fails_calls_within_a_second() {
    let redis = RedisProcess::start();
    let transport = transport(&redis).await;
    transport.check_writable().await.unwrap();
    redis.freeze();
    for _ in 0..2 {
        let begun = Instant::now();
        assert!(transport.push(QUEUE, one_each(0..1)).await.is_err());
        assert!(
            begun.elapsed() < Duration::from_millis(1200),
            "{:?}",
            begun.elapsed()
        );
    }
    redis.thaw();
    push_until_it_works(&transport, one_each(0..1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_handler_leaves_its_neighbours_alone() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let noted = seen.clone();
    let handler: TaskHandler = Arc::new(move |jobs| {
        let seen = noted.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(jobs[0].0 % 3 != 0, "poison");
            seen.note(&jobs);
        }
        .boxed()
    });
    let consumer = Running::start(&transport, 8, handler);
    push_until_it_works(&transport, one_each(0..90)).await;
    eventually("the others ran", || seen.count() == 60).await;
    eventually("the poison is gone too", || {
        redis.run::<i64>(&["EXISTS", "test:{transfers}:data"]) == 0
    })
    .await;
    assert_eq!(consumer.health.restarts(), 0);
    consumer.stop().await;
}
