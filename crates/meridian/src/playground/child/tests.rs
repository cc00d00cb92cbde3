use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[tokio::test]
async fn an_end_is_told_with_its_reason() {
    let child = Kept::start(shell("exit 3")).await.unwrap();
    assert_eq!(child.wait().await, "exit status 3");
    assert_eq!(child.ended().as_deref(), Some("exit status 3"));
    // To nobody.
    child.signal(Signal::KILL);
}

#[tokio::test]
async fn a_stopped_child_can_be_killed() {
    let child = Kept::start(shell("kill -STOP $$; exit 0")).await.unwrap();
    assert_eq!(child.ended(), None);
    child.signal(Signal::KILL);
    assert_eq!(child.wait().await, "signal 9");
}

#[tokio::test]
async fn a_child_knows_its_parent_and_not_the_parents_settings() {
    let script = format!("test \"$MERIDIAN_PARENT_PID\" = {}", std::process::id());
    let child = Kept::start(shell(&script)).await.unwrap();
    assert_eq!(child.wait().await, "exit status 0");
}

#[tokio::test]
async fn what_cannot_be_started_is_an_error() {
    let error = Kept::start(Command::new("/no/such/program")).await.unwrap_err();
    assert!(error.to_string().contains("cannot start"), "{error}");
}
