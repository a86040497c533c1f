use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// No parts.
enum Never {}

impl Part for Never {
    type Group = ();

    fn slot(&self) -> u16 {
        match *self {}
    }

    fn size(&self) -> usize {
        match *self {}
    }

    fn group(&self) -> &() {
        match *self {}
    }
}

#[test]
fn what_has_waited_too_long_is_rejected_and_makes_room() {
    let most_age = Duration::from_secs(840);
    let merge = |_, _: &Never, _: &[&Never]| unreachable!("there are no parts");
    let pipeline = Pipeline::new(most_age, merge);
    let rejected = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        assert!(smol::block_on(pipeline.reserve(10)));
        let rejected = rejected.clone();
        pipeline.send_reserved(10, |_| {
            let packed = Vec::new();
            let on_reply = move |reply: Option<Value>| {
                assert_eq!(reply, None);
                rejected.fetch_add(1, Ordering::Relaxed);
            };
            let command = Payload::Command(Command { slot: 0, packed });
            (command, Box::new(on_reply))
        });
    }
    pipeline.reject_old(Instant::now() + most_age / 2);
    assert_eq!(pipeline.waiting(), (3, 30));
    pipeline.reject_old(Instant::now() + most_age);
    assert_eq!(pipeline.waiting(), (0, 0));
    assert_eq!(rejected.load(Ordering::Relaxed), 3);
}

#[test]
fn commands_for_which_nobody_waits_do_not_gather_while_redis_is_away() {
    let merge = |_, _: &Never, _: &[&Never]| unreachable!("there are no parts");
    let pipeline = Pipeline::new(Duration::from_secs(1), merge);
    let send = || {
        let packed = Vec::new();
        pipeline.send(Command { slot: 0, packed }, Box::new(|_| ()));
    };
    let is_empty = || pipeline.state.lock().queues.is_empty();
    send();
    assert!(is_empty());
    pipeline.state.lock().queues.connect(None);
    send();
    assert!(!is_empty());
    pipeline.disconnect();
    assert!(is_empty());
}
