//! What is left in Redis: no finished tasks, and nothing that would end a worker.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn sweeping_brings_redis_back_to_what_it_was() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let consumer = Running::start(&transport, 16, seen.at_once());
    push_until_it_works(&transport, one_each(0..50)).await;
    eventually("warm", || seen.count() == 50).await;
    let keys = || redis.run::<i64>(&["DBSIZE"]);
    let memory = || {
        let info: String = redis.run(&["INFO", "memory"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory_dataset:"))
            .unwrap()
            .to_owned();
        line.parse::<i64>().unwrap()
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (keys_before, memory_before) = (keys(), memory());
    for start in (50..20_050).step_by(2_000) {
        transport
            .push(QUEUE, one_each(start..start + 2_000))
            .await
            .unwrap();
        let end = usize::try_from(start + 2_000).unwrap();
        eventually("worked off", || seen.count() == end).await;
    }
    eventually("no key more than before", || keys() == keys_before).await;
    assert_eq!(
        redis.run::<i64>(&["EXISTS", "test:{transfers}:data", "test:{transfers}:done"]),
        0
    );
    eventually("no more memory than before", || {
        memory() < memory_before + (1 << 20)
    })
    .await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeping_touches_no_task_that_is_waiting_or_running() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    let consumer = Running::start(&transport, 2, seen.after(Duration::from_millis(30)));
    push_until_it_works(&transport, one_each(0..40)).await;
    while seen.count() < 40 {
        transport.purge(QUEUE).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(consumer.health.restarts(), 0);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_worker_that_is_gone_go_back_and_those_without_data_are_dropped() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    // What a killed process leaves behind: a name without beats, and tasks that it had fetched.
    transport.push(QUEUE, one_each(0..3)).await.unwrap();
    let _: i64 = redis.run(&["ZADD", "test:{transfers}:members", "1000", "gone"]);
    let _: i64 = redis.run(&["ZADD", "test:{transfers}:workers", "1000", "gone"]);
    let _: i64 = redis.run(&["DEL", "test:{transfers}:active"]);
    for job in 0..3 {
        let _: i64 = redis.run(&["SADD", "test:{transfers}:inflight:gone", &task_of(&redis, job)]);
    }
    let _: i64 = redis.run(&["HDEL", "test:{transfers}:data", &task_of(&redis, 1)]);
    let consumer = Running::start(&transport, 2, seen.at_once());
    eventually("the whole ones ran", || seen.has(0) && seen.has(2)).await;
    assert!(!seen.has(1));
    assert_eq!(consumer.health.restarts(), 0);
    consumer.stop().await;
    let left: Vec<String> = redis.run(&["KEYS", "*"]);
    assert_eq!(left, ["core:apalis:queues:list"], "nothing of it is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_nobody_can_read_is_dropped_and_work_goes_on() {
    let redis = RedisProcess::start();
    let (transport, seen) = (transport(&redis).await, Seen::default());
    transport.push(QUEUE, one_each(0..2)).await.unwrap();
    let _: i64 = redis.run(&["HSET", "test:{transfers}:data", &task_of(&redis, 0), "{\"v\":99}"]);
    let consumer = Running::start(&transport, 2, seen.at_once());
    eventually("the other ran", || seen.has(1)).await;
    push_until_it_works(&transport, one_each(2..3)).await;
    eventually("work goes on", || seen.has(2)).await;
    assert_eq!(consumer.health.restarts(), 0);
    consumer.stop().await;
}
