//! Tasks reach handlers: all, once, soon, and shared out; a shutdown loses none.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_job_of_every_group_reaches_a_handler_once() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let groups = (0..100)
        .map(|group| (0..5).map(|job| JobId(group * 5 + job)).collect())
        .collect();
    transport.push(QUEUE, groups).await.unwrap();
    assert_eq!(transport.waiting(QUEUE).await.unwrap(), 100);
    assert_eq!(transport.waiting(QueueName::Deposits).await.unwrap(), 0);
    // A worker whose clock is behind the pusher's still finds the tasks.
    assert_eq!(redis.run::<i64>(&["LLEN", "test:{transfers}:active"]), 100);
    let consumer = Running::start(&transport, 8, seen.at_once());
    eventually("all jobs ran", || seen.count() == 500).await;
    assert_eq!(transport.waiting(QUEUE).await.unwrap(), 0);
    assert!((0..500).all(|job| seen.times(job) == 1));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_is_woken_and_neither_waits_for_its_interval_nor_falls_asleep() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let consumer = Running::start(&transport, 4, seen.at_once());
    push_until_it_works(&transport, one_each(0..1)).await;
    eventually("the worker is up", || seen.has(0)).await;
    let mut waited = Vec::new();
    for job in 1..=400 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let begun = Instant::now();
        transport.push(QUEUE, one_each(job..job + 1)).await.unwrap();
        eventually("the job ran", || seen.has(job)).await;
        waited.push(begun.elapsed());
    }
    waited.sort();
    // With the interval alone the median would be 100 ms.
    assert!(waited[200] < Duration::from_millis(50), "{:?}", waited[200]);
    // A worker that loses its waker sleeps until its heartbeat.
    assert!(waited[399] < Duration::from_secs(2), "{:?}", waited[399]);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_beyond_what_apalis_can_fetch_is_worked_off() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    for start in [0, 4_500] {
        transport
            .push(QUEUE, one_each(start..start + 4_500))
            .await
            .unwrap();
    }
    assert_eq!(transport.waiting(QUEUE).await.unwrap(), 9_000);
    let consumer = Running::start(&transport, 32, seen.at_once());
    eventually("all jobs ran", || seen.count() == 9_000).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_the_same_name_may_start_at_once_and_two_share_the_work() {
    let redis = RedisProcess::start();
    let transport = transport(&redis).await;
    let seen = [Seen::default(), Seen::default()];
    let consumers = seen
        .each_ref()
        .map(|seen| Running::start(&transport, 4, seen.after(Duration::from_millis(5))));
    push_until_it_works(&transport, one_each(0..200)).await;
    eventually("all jobs ran", || seen[0].count() + seen[1].count() == 200).await;
    assert!(
        seen.iter().all(|seen| seen.count() > 20),
        "{} and {}",
        seen[0].count(),
        seen[1].count()
    );
    assert!((0..200).all(|job| seen[0].times(job) + seen[1].times(job) == 1));
    assert!(consumers.iter().all(|consumer| consumer.health.restarts() == 0));
    for consumer in consumers {
        consumer.stop().await;
    }
    let left: Vec<String> = redis.run(&["ZRANGE", "test:{transfers}:workers", "0", "-1"]);
    assert_eq!(
        left,
        Vec::<String>::new(),
        "a stopped worker leaves nothing behind"
    );
    assert_eq!(redis.run::<i64>(&["EXISTS", "test:{transfers}:members"]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_what_runs_and_leaves_the_rest_to_others() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let started = Arc::new(AtomicUsize::new(0));
    let (noted, counter) = (seen.clone(), Arc::clone(&started));
    let handler: TaskHandler = Arc::new(move |jobs| {
        let (seen, started) = (noted.clone(), Arc::clone(&counter));
        async move {
            started.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
            seen.note(&jobs);
        }
        .boxed()
    });
    let consumer = Running::start(&transport, 8, handler);
    push_until_it_works(&transport, one_each(0..30)).await;
    eventually("eight run", || started.load(Ordering::SeqCst) == 8).await;
    consumer.stop().await;
    assert_eq!((started.load(Ordering::SeqCst), seen.count()), (8, 8));
    assert_eq!(
        transport.waiting(QUEUE).await.unwrap(),
        22,
        "what was not begun is back"
    );
    let next = Running::start(&transport, 8, seen.at_once());
    eventually("the rest ran", || seen.count() == 30).await;
    assert!((0..30).all(|job| seen.times(job) == 1));
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_no_longer_than_the_grace() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let consumer = Consumer::new(
        transport.clone(),
        QUEUE,
        1,
        seen.after(Duration::from_secs(60)),
        "test:1",
    );
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(consumer.run(shutdown.clone(), Duration::from_millis(300)));
    push_until_it_works(&transport, one_each(0..1)).await;
    eventually("fetched", || {
        redis.run::<i64>(&["LLEN", "test:{transfers}:active"]) == 0
    })
    .await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(3), task)
        .await
        .expect("it gives up")
        .unwrap();
}

/// Prints latency and throughput: `cargo test -p wallet-core queue -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a check"]
#[expect(clippy::print_stdout, reason = "its output is its purpose")]
async fn measure() {
    let redis = RedisProcess::start();
    let transport = transport(&redis).await;
    let (sender, mut handled) = tokio::sync::mpsc::unbounded_channel();
    let handler: TaskHandler = Arc::new(move |jobs| {
        let _ = sender.send((jobs, Instant::now()));
        std::future::ready(()).boxed()
    });
    let consumer = Running::start(&transport, 32, handler);
    push_until_it_works(&transport, one_each(0..1)).await;
    handled.recv().await.unwrap();
    let (mut pushed, mut picked_up) = (Vec::new(), Vec::new());
    for job in 1..=500 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let begun = Instant::now();
        transport.push(QUEUE, one_each(job..job + 1)).await.unwrap();
        pushed.push(begun.elapsed());
        let (_, at) = handled.recv().await.unwrap();
        picked_up.push(at - begun);
    }
    pushed.sort();
    picked_up.sort();
    println!("push: p50 {:?}, p99 {:?}", pushed[250], pushed[495]);
    println!(
        "push to handler, idle: p50 {:?}, p99 {:?}",
        picked_up[250], picked_up[495]
    );
    let begun = Instant::now();
    let pushing = tokio::spawn(async move {
        for start in (0..10_000).step_by(2_000) {
            transport
                .push(QUEUE, one_each(start..start + 2_000))
                .await
                .unwrap();
        }
        begun.elapsed()
    });
    for _ in 0..10_000 {
        handled.recv().await.unwrap();
    }
    println!(
        "10,000 tasks: pushed in {:?}, drained in {:?}",
        pushing.await.unwrap(),
        begun.elapsed()
    );
    consumer.stop().await;
}
