//! `/client.js`, on which the page is built: on a page of another site in a real browser.

use std::net::SocketAddr;

use natterjack::config::Origin;
use serde_json::{Value, json};

use crate::support::{Client, Page, Proxy, TestServer, free_port};

/// A page of another site, with the module from this server loaded. `join(user)` enters the lobby, and
/// what is heard from then on is in `heard`.
fn page_of(site: &TestServer, server: SocketAddr) -> Page {
    let page = Page::open_at(site.addr(), "/healthz");
    let loaded = page.runs(&format!(
        "const {{ connect }} = await import('http://{server}/client.js');
         globalThis.heard = [];
         globalThis.join = async (user, options) => {{
             globalThis.chat = connect('ws://{server}/ws', {{ user, ...options }});
             chat.on('private', ({{ userId, text }}) => heard.push(`${{userId}} in private: ${{text}}`));
             globalThis.lobby = await chat.join('lobby');
             lobby.on('chat', ({{ userId, text }}) => heard.push(`${{userId}}: ${{text}}`));
             lobby.on('presence', ({{ userId, status }}) => heard.push(`${{userId}} ${{status}}`));
             return [...lobby.people];
         }};
         return 'loaded';"
    ));
    assert_eq!(loaded, json!("loaded"));
    page
}

/// What is heard in the end.
#[track_caller]
fn hears(page: &Page, heard: &[&str]) {
    let all = json!(heard).to_string();
    page.until(&format!("heard.length >= {}", heard.len()));
    let heard: Value = page.value("JSON.stringify(heard)");
    assert_eq!(heard.as_str().unwrap(), all);
}

/// A site, and a server that lets its pages in.
fn site_and_server() -> (TestServer, TestServer) {
    let site = TestServer::start();
    let origin = Origin::parse(&format!("http://{}", site.addr())).unwrap();
    let server = TestServer::with(|config| config.origins = vec![origin]);
    (site, server)
}

#[test]
fn a_page_of_another_site_chats() {
    let (site, server) = site_and_server();
    let mut foo = server.join("foo");
    let page = page_of(&site, server.addr());
    assert_eq!(page.runs("return join('ann')"), json!(["ann", "foo"]));
    foo.hears("ann: has joined the chat!");
    let id = page.runs("return lobby.say('hello')");
    assert!(id.as_str().unwrap().ends_with("-1"), "{id}");
    foo.hears("ann: hello");
    foo.say("hello ann");
    hears(&page, &["ann: hello", "foo: hello ann"]);
    foo.say("/msg ann psst");
    hears(
        &page,
        &["ann: hello", "foo: hello ann", "foo in private: psst"],
    );
    page.runs("return chat.tell('foo', 'psst, too')");
    foo.hears("ann (private): psst, too");
    let history = page.runs("return (await lobby.history({ limit: 1 })).map(({ text }) => text)");
    assert_eq!(history, json!(["hello ann"]));
    page.runs("lobby.leave()");
    foo.hears("ann: has left the chat!");
    assert_eq!(page.runs("return lobby.say('gone')"), json!("closed"));
}

#[test]
fn a_page_of_a_site_that_is_not_allowed_can_load_it_but_not_connect() {
    let (_, server) = site_and_server();
    let stranger = TestServer::start();
    let page = page_of(&stranger, server.addr());
    let refused = page.runs(
        "const joined = join('eve');
         const { code } = await new Promise((lost) => chat.on('lost', lost));
         const { state } = chat;
         chat.close();
         return [code, state, await joined.catch((error) => error.code)];",
    );
    assert_eq!(refused, json!([1006, "offline", "closed"]));
}

#[test]
fn what_is_refused_rejects_with_a_code() {
    let (site, server) = site_and_server();
    let _foo = server.join("foo");
    let page = page_of(&site, server.addr());
    // A name that is refused ends it; another one may be tried.
    assert_eq!(page.runs("return join('foo')"), json!("name_taken"));
    assert_eq!(page.runs("return chat.join('attic')"), json!("closed"));
    assert_eq!(page.runs("return chat.tell('foo', 'x')"), json!("closed"));
    assert_eq!(page.runs("return join('a:b')"), json!("bad_name"));
    page.runs("return join('ann')");
    for (code, does) in [
        ("empty", "lobby.say(' ')"),
        ("too_long", "lobby.say('x'.repeat(5000))"),
        ("no_such_user", "chat.tell('nobody', 'x')"),
        ("bad_room", "chat.join('a:b')"),
        ("bad_json", "lobby.history({ before: 'x' })"),
    ] {
        assert_eq!(page.runs(&format!("return {does}")), json!(code), "{does}");
    }
    // Nothing of that has cost the connection.
    page.runs("await lobby.say('fine')");
    hears(&page, &["ann: fine"]);
}

#[test]
fn messages_over_the_rate_are_rejected_and_not_sent_again() {
    let site = TestServer::start();
    let origin = Origin::parse(&format!("http://{}", site.addr())).unwrap();
    let server = TestServer::with(|config| (config.rate, config.origins) = (1, vec![origin]));
    let page = page_of(&site, server.addr());
    page.runs("return join('ann')");
    let said = page.runs(
        "const all = [...Array(9).keys()].map((n) => lobby.say(`${n}`).then(() => 'said', ({ code }) => code));
         return Promise.all(all);",
    );
    let said: Vec<&str> = said
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let refused = said
        .iter()
        .filter(|outcome| **outcome == "rate_limited")
        .count();
    let heard = said.iter().filter(|outcome| **outcome == "said").count();
    assert!(heard > 0 && refused > 0 && heard + refused == 9, "{said:?}");
    page.becomes("heard.length", &json!(heard));
}

#[test]
fn over_a_cut_each_message_is_heard_and_said_once_and_in_order() {
    let (site, server) = site_and_server();
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.join("foo");
    let page = page_of(&site, proxy.addr());
    page.runs("await join('ann'); await lobby.say('one')");
    foo.hears_in_order(&["ann: has joined the chat!", "ann: one"]);
    foo.say("two");
    hears(&page, &["ann: one", "foo: two"]);
    // It is heard by the others, but its sender learns nothing of it.
    proxy.stall_after(0);
    page.runs("globalThis.three = lobby.say('three')");
    foo.hears("ann: three");
    foo.say("four");
    proxy.cut();
    page.until("chat.state === 'offline'");
    page.runs("globalThis.five = lobby.say('five'); globalThis.six = lobby.say('six')");
    proxy.heal();
    page.runs("chat.retry()");
    let ids = page.runs("return Promise.all([three, five, six])");
    foo.hears_at_last("ann: five");
    foo.hears("ann: six");
    let ids: Vec<&str> = ids
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(ids.is_sorted() && ids.len() == 3, "{ids:?}");
    page.runs("await lobby.say('seven')");
    let heard = ["one", "two", "three", "four", "five", "six", "seven"];
    let heard = page_heard(&heard);
    page.until("heard.some((line) => line.endsWith('seven'))");
    let said = page.value("JSON.stringify(heard.filter((line) => line.includes(': ')))");
    assert_eq!(said.as_str().unwrap(), json!(heard).to_string());
}

/// These texts as the page hears them: the even ones are foo's.
fn page_heard(texts: &[&str]) -> Vec<String> {
    let others = ["two", "four"];
    let from = |text: &&str| if others.contains(text) { "foo" } else { "ann" };
    texts
        .iter()
        .map(|text| format!("{}: {text}", from(text)))
        .collect()
}

#[test]
fn it_comes_back_where_a_failed_connection_fires_only_an_error() {
    let (site, server) = site_and_server();
    let page = page_of(&site, server.addr());
    let port = free_port();
    page.runs(&format!(
        "const {{ connect }} = await import('http://{}/client.js');
         globalThis.WebSocket = class extends WebSocket {{ set onclose(_) {{}} }};
         globalThis.chat = connect('ws://127.0.0.1:{port}/ws', {{ user: 'ann' }});
         globalThis.lost = 0;
         chat.on('lost', () => lost++);
         chat.join('lobby').then(() => globalThis.isIn = true);",
        server.addr()
    ));
    page.until("lost >= 2");
    let origin = Origin::parse(&format!("http://{}", site.addr())).unwrap();
    let late = TestServer::with(|config| {
        config.listen = vec![([127, 0, 0, 1], port).into()];
        config.origins = vec![origin];
    });
    page.until("globalThis.isIn");
    let mut foo = late.join("foo");
    foo.say("/who");
    foo.hears("in lobby: ann, foo");
}

#[test]
fn a_connection_that_died_in_silence_is_replaced_when_its_user_is_back() {
    let (site, server) = site_and_server();
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.join("foo");
    let page = page_of(&site, proxy.addr());
    page.runs("return join('ann')");
    foo.hears("ann: has joined the chat!");
    // Neither side sees an end.
    proxy.hold();
    foo.say("is anybody there?");
    page.runs("globalThis.answered = lobby.say('yes')");
    page.runs("dispatchEvent(new Event('online'))");
    page.runs("await answered");
    foo.hears_at_last("ann: yes");
    page.until("heard.includes('ann: yes')");
    let heard = page.value("JSON.stringify(heard.filter((line) => line.includes(': ')))");
    let expected = json!(["foo: is anybody there?", "ann: yes"]).to_string();
    assert_eq!(heard.as_str().unwrap(), expected);
}

#[test]
fn who_is_back_does_not_wait_for_what_was_begun_before() {
    let (site, server) = site_and_server();
    let proxy = Proxy::to(server.addr().port());
    let page = page_of(&site, proxy.addr());
    // What is answered last has nothing behind it that would be a sign of life later.
    let answered = "await lobby.history({ limit: 1 })";
    page.runs(&format!(
        "globalThis.attempts = 0;
         globalThis.WebSocket = class extends WebSocket {{
             constructor(...all) {{ super(...all); attempts++; globalThis.begun?.(); }}
         }};
         await join('ann');
         {answered}"
    ));
    // A check of a connection that may take its time is hurried up.
    proxy.hold();
    let first = page.runs(
        "const lost = new Promise((lost) => chat.on('lost', () => lost('lost')));
         chat.check();
         dispatchEvent(new Event('online'));
         return Promise.race([lost, new Promise((late) => setTimeout(late, 6_000, 'late'))])",
    );
    assert_eq!(first, json!("lost"));
    // An attempt that has heard nothing yet is begun again.
    page.runs(answered);
    proxy.stall();
    let more = page.runs(
        "const begun = new Promise((begun) => globalThis.begun = begun);
         chat.check(1);
         await begun;
         const before = attempts;
         dispatchEvent(new Event('online'));
         return attempts - before",
    );
    assert_eq!(more, json!(1));
    proxy.hold();
    proxy.heal();
    page.runs("dispatchEvent(new Event('online'))");
    page.until("chat.state === 'online'");
}

#[test]
fn private_messages_from_before_during_and_after_a_cut_are_heard_once() {
    let (site, server) = site_and_server();
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.typed("foo");
    let mut bar = server.typed("bar");
    let tell = |client: &mut Client, text: &str| {
        client.put(json!({"type": "chat", "to": "ann", "text": text, "ref": text}));
        client.gets_at_last(json!({"type": "ack", "ref": text}));
    };
    let page = page_of(&site, proxy.addr());
    // What was said to her in another life she has not heard in this one.
    page.runs("await join('ann', { session: 'secret' })");
    tell(&mut bar, "long ago");
    page.until("heard.length === 1");
    page.runs("chat.close(); heard.length = 0; await join('ann', { session: 'secret' })");
    tell(&mut foo, "one");
    page.until("heard.length === 1");
    // The next message reaches a connection that is dead, without her knowing.
    proxy.stall_after(0);
    tell(&mut foo, "two");
    proxy.cut();
    page.until("chat.state === 'offline'");
    tell(&mut foo, "three");
    tell(&mut bar, "hello");
    page.runs("globalThis.four = chat.tell('foo', 'four')");
    proxy.heal();
    page.runs("chat.retry(); await four");
    tell(&mut foo, "five");
    page.until("heard.some((line) => line.endsWith('five'))");
    let heard = page.value("JSON.stringify(heard.filter((line) => !line.startsWith('bar')))");
    let expected = json!([
        "foo in private: one",
        "foo in private: two",
        "foo in private: three",
        "ann in private: four",
        "foo in private: five"
    ]);
    assert_eq!(heard.as_str().unwrap(), expected.to_string());
    let of_bar = page.value("JSON.stringify(heard.filter((line) => line.startsWith('bar')))");
    assert_eq!(of_bar, json!(r#"["bar in private: hello"]"#));
    // A page that is loaded again may ask for all that is kept.
    page.runs(
        "chat.close(); heard.length = 0; await join('ann', { session: 'secret', private: {} })",
    );
    page.until("heard.length === 7");
    let past = page.runs("return (await chat.history('bar')).map(({ text }) => text)");
    assert_eq!(past, json!(["long ago", "hello"]));
}

#[test]
fn a_guest_without_a_room_comes_back_under_the_same_name() {
    let (site, server) = site_and_server();
    let proxy = Proxy::to(server.addr().port());
    let mut foo = server.typed("foo");
    let page = page_of(&site, server.addr());
    page.runs(&format!(
        "const {{ connect }} = await import('http://{}/client.js');
         globalThis.chat = connect('ws://{}/ws');
         await chat.tell('foo', 'hello');",
        server.addr(),
        proxy.addr()
    ));
    let guest = foo.gets(json!({"type": "chat", "text": "hello"}))["userId"].clone();
    proxy.cut();
    page.until("chat.state === 'offline'");
    proxy.heal();
    page.runs("chat.retry(); chat.tell('foo', 'it is me')");
    foo.gets(json!({"type": "chat", "text": "it is me", "userId": guest}));
}

#[test]
fn without_a_room_one_can_still_be_told_something_and_answer() {
    let (site, server) = site_and_server();
    let proxy = Proxy::to(server.addr().port());
    let page = page_of(&site, proxy.addr());
    page.runs(&format!(
        "const {{ connect }} = await import('http://{}/client.js');
         globalThis.chat = connect('ws://{}/ws', {{ user: 'ann' }});
         chat.on('private', ({{ userId, text }}) => {{
             heard.push(`${{userId}} in private: ${{text}}`);
             if (userId !== chat.user) chat.tell(userId, text);
         }});
         return new Promise((welcome) => chat.on('welcome', welcome));",
        proxy.addr(),
        proxy.addr()
    ));
    let mut foo = server.join("foo");
    foo.say("/msg ann one");
    foo.hears("ann (private): one");
    hears(&page, &["foo in private: one", "ann in private: one"]);
    assert_eq!(
        page.runs("return chat.tell('nobody', 'x')"),
        json!("no_such_user")
    );
}
