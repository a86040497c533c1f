//! One name belongs to one connection, wherever that is.

use std::thread;

use crate::support::{Redis, TestServer, on_both_buses};

#[test]
fn a_taken_name_is_refused_and_its_owner_notices_nothing() {
    on_both_buses(|server| {
        let mut foo = server.join("foo");
        for room in ["lobby", "another"] {
            let mut other = server.knock("foo", room);
            other.hears("username foo is already taken. please retry with a different name");
            other.is_closed(1008);
        }
        let _bar = server.join("bar");
        foo.hears("bar: has joined the chat!");
    });
}

#[test]
fn a_name_is_free_again_when_its_owner_has_left() {
    on_both_buses(|server| {
        let mut bar = server.join("bar");
        for _ in 0..3 {
            let foo = server.join("foo");
            bar.hears("foo: has joined the chat!");
            foo.leave();
            bar.hears("foo: has left the chat!");
        }
        // Without a goodbye, too.
        drop(server.join("foo"));
        bar.hears_in_order(&["foo: has joined the chat!", "foo: has left the chat!"]);
        server.join("foo");
    });
}

#[test]
fn of_many_who_want_one_name_at_once_exactly_one_gets_it() {
    let redis = Redis::start();
    let servers = [TestServer::on(&redis), TestServer::on(&redis)];
    let granted = thread::scope(|scope| {
        let knock = |n: usize| {
            let server = &servers[n % 2];
            scope.spawn(move || {
                let mut client = server.knock("foo", "lobby");
                (client.next(), client)
            })
        };
        let all: Vec<_> = (0..20).map(knock).collect();
        // Everybody stays until everybody has been answered.
        let all: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
        all.iter()
            .filter(|(said, _)| said == "Welcome foo!")
            .count()
    });
    assert_eq!(granted, 1);
}

#[test]
fn large_rooms_say_nothing_about_who_comes_and_goes() {
    let script = |server: &TestServer| {
        let mut one = server.join("one");
        let mut two = server.join("two");
        one.hears("two: has joined the chat!");
        let three = server.join("three");
        two.say("/who");
        two.hears("in lobby: 3 people");
        three.leave();
        // Nobody was told of three; of two's leaving, the room being small again, one is.
        crate::support::eventually("three is gone", || {
            two.say("/who");
            (two.next() == "in lobby: one, two").then_some(())
        });
        two.leave();
        one.hears("two: has left the chat!");
    };
    script(&TestServer::with(|config| config.notices = 2));
    let redis = Redis::start();
    script(&TestServer::on_with(redis.address(), |config| {
        config.notices = 2
    }));
}
