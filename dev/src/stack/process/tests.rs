//! How processes end.

use super::*;

fn sh(folder: &Path, script: &str) -> ProcessSpec {
    ProcessSpec::new("test", Path::new("sh"), &folder.join("test.log")).args(["-c", script])
}

fn exists(pid: u32) -> bool {
    nix::sys::signal::kill(Pid::from_raw(i32::try_from(pid).unwrap()), None).is_ok()
}

#[tokio::test]
async fn an_orderly_stop_lets_it_finish() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = sh(
        folder.path(),
        "trap 'echo done; exit 7' TERM; echo ready; while :; do sleep 0.05; done",
    )
    .spawn()
    .unwrap();
    while process.log_tail(1).is_empty() {
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(process.stop().await.unwrap().code(), Some(7));
    assert_eq!(process.log_tail(1), ["done"]);
}

#[tokio::test]
async fn one_that_ignores_the_request_is_killed_after_its_grace() {
    let folder = tempfile::tempdir().unwrap();
    let spec = sh(
        folder.path(),
        "trap '' TERM; echo ready; while :; do sleep 0.05; done",
    )
    .grace(Duration::from_millis(200));
    let mut process = spec.spawn().unwrap();
    while process.log_tail(1).is_empty() {
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(process.stop().await.unwrap().code(), None);
}

#[test]
fn dropping_it_ends_its_children_too() {
    let folder = tempfile::tempdir().unwrap();
    let process = sh(folder.path(), "sleep 100 & echo $!; wait").spawn().unwrap();
    while process.log_tail(1).is_empty() {
        std::thread::sleep(POLL);
    }
    let grandchild: u32 = process.log_tail(1)[0].parse().unwrap();
    assert!(exists(grandchild));
    drop(process);
    let start = Instant::now();
    while exists(grandchild) && start.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(POLL);
    }
    assert!(!exists(grandchild));
}

#[test]
fn the_death_of_the_parent_ends_the_children() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let watchdog = Watchdog::start(None).unwrap();
    let mut child = Command::new("sleep").arg("100").process_group(0).spawn().unwrap();
    watchdog.add(child.id(), Signal::SIGTERM).unwrap();
    watchdog.add_folder(&scratch).unwrap();
    // Closes the pipe, as the kernel does when a parent dies. The child is ours, so this test has to reap it.
    let death = std::thread::spawn(move || drop(watchdog));
    let status = child.wait().unwrap();
    death.join().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    assert!(!scratch.exists());
}
