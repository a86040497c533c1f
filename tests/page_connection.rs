//! The page where no WebSocket opens: behind proxies that are set up wrongly, and at the server's limits. And
//! where one dies in silence.

use std::net::SocketAddr;
use std::time::Duration;

use natterjack::config::Authority;
use serde_json::json;

use crate::support::{Nginx, Page, Proxy, TestServer};

/// Opens a page by `http` or `https` in the browser that is meant; `None` if there is none.
pub type Open = fn(&str, SocketAddr) -> Option<Page>;

pub fn in_chromium(scheme: &str, addr: SocketAddr) -> Option<Page> {
    Some(Page::open_as(scheme, addr, "/"))
}

/// Opens the page behind nginx and tries to join.
fn join_behind(nginx: &Nginx, open: Open) -> Option<Page> {
    let page = open("https", at(nginx))?;
    page.fill("Name", "ann");
    page.press("Join");
    Some(page)
}

fn at(nginx: &Nginx) -> SocketAddr {
    ([127, 0, 0, 1], nginx.tls).into()
}

#[test]
fn a_proxy_that_hides_the_host_is_reported_with_the_origin_to_allow() {
    reports_a_hidden_host(in_chromium);
}

pub fn reports_a_hidden_host(open: Open) {
    let server = TestServer::start();
    let nginx = Nginx::without(server.addr(), "proxy_set_header Host $http_host;");
    let Some(page) = join_behind(&nginx, open) else {
        return;
    };
    page.says("takes this page for one of another site (403)");
    page.says(&format!("--origin https://{}", at(&nginx)));
    // It goes on trying, and what is said stays the same.
    page.press("Try now");
    page.says("(403)");
}

#[test]
fn a_proxy_that_passes_no_upgrade_on_is_reported() {
    reports_a_missing_upgrade(in_chromium);
}

pub fn reports_a_missing_upgrade(open: Open) {
    let server = TestServer::start();
    let nginx = Nginx::without(server.addr(), "proxy_set_header Upgrade $http_upgrade;");
    let Some(page) = join_behind(&nginx, open) else {
        return;
    };
    page.says("lets no WebSocket through (426)");
}

#[test]
fn a_proxy_that_calls_the_server_by_another_name_is_reported() {
    reports_a_wrong_name(in_chromium);
}

pub fn reports_a_wrong_name(open: Open) {
    let server =
        TestServer::with(|config| config.hosts = vec![Authority::parse("127.0.0.1").unwrap()]);
    let wrong = "location = /ws {
        proxy_pass http://natterjack;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $natterjack_connection;
        proxy_set_header Host chat.example;
    }
    location / {";
    let nginx = Nginx::replacing(server.addr(), "location / {", wrong);
    let Some(page) = join_behind(&nginx, open) else {
        return;
    };
    page.says(&format!("doesn’t go by the name {} (421)", at(&nginx)));
    page.says("--host");
}

#[test]
fn a_full_server_says_so_and_lets_people_in_once_there_is_room() {
    let server = TestServer::with(|config| config.max_peers = 1);
    waits_for_room(&server, &Page::open(&server, "/"));
}

/// One connection is all that the server takes.
pub fn waits_for_room(server: &TestServer, page: &Page) {
    let peer = server.join("foo");
    page.fill("Name", "ann");
    page.press("Join");
    page.says("The server lets nobody in at the moment (503: too many peers).");
    peer.leave();
    page.has("Message");
    page.until("!document.querySelector('#status').innerText.includes('503')");
}

#[test]
fn too_many_connections_from_one_address_are_reported() {
    let server = TestServer::with(|config| config.max_peers_per_ip = Some(1));
    reports_too_many_connections(&server, &Page::open(&server, "/"));
}

/// One connection of an address is all that the server takes.
pub fn reports_too_many_connections(server: &TestServer, page: &Page) {
    let _foo = server.join("foo");
    page.fill("Name", "ann");
    page.press("Join");
    page.says("Too many connections come from your address (429).");
}

#[test]
fn a_server_that_is_down_behind_its_proxy_is_reported_and_tried_again() {
    reports_a_server_that_is_down(in_chromium);
}

pub fn reports_a_server_that_is_down(open: Open) {
    let server = TestServer::start();
    let addr = server.addr();
    let nginx = Nginx::before(addr);
    let Some(page) = join_behind(&nginx, open) else {
        return;
    };
    page.say("before");
    page.shows("before");
    server.stop();
    page.says("A proxy answers, but not the server behind it (502). What you write is kept.");
    let _server = TestServer::with(|config| config.listen = vec![addr]);
    page.says("Connected again.");
}

#[test]
fn not_every_attempt_costs_a_second_request() {
    asks_about_few_attempts(in_chromium);
}

pub fn asks_about_few_attempts(open: Open) {
    let server = TestServer::start();
    let nginx = Nginx::without(server.addr(), "proxy_set_header Upgrade $http_upgrade;");
    let Some(page) = open("https", at(&nginx)) else {
        return;
    };
    page.value(
        "(globalThis.attempts = 0, globalThis.asked = [],
          globalThis.WebSocket = class extends WebSocket {
              constructor(...all) { super(...all); attempts++; }
          },
          globalThis.fetch = ((fetch) => (...all) => {
              if (all[0] === 'ws') asked.push(attempts);
              return fetch(...all);
          })(fetch), 0)",
    );
    page.fill("Name", "ann");
    page.press("Join");
    page.until("attempts >= 4");
    // Each time by GET, and by POST, to which a browser adds the origin.
    assert_eq!(
        page.value("JSON.stringify(asked.filter((attempt) => attempt < 4))"),
        json!("[1,1,2,2]")
    );
}

#[test]
fn a_phone_out_of_a_pocket_shows_at_once_what_was_missed() {
    comes_out_of_a_pocket(in_chromium);
}

pub fn comes_out_of_a_pocket(open: Open) {
    let server = TestServer::start();
    let proxy = Proxy::to(server.addr().port());
    let mut peer = server.join("foo");
    let Some(page) = open("http", proxy.addr()) else {
        return;
    };
    page.fill("Name", "ann");
    page.press("Join");
    page.is_in();
    peer.hears("ann: has joined the chat!");
    // The network has forgotten the connection, and tells neither side.
    proxy.hold();
    peer.say("are you there?");
    page.runs(
        "globalThis.first = Promise.race([
             new Promise((late) => setTimeout(late, 5_000, 'late')),
             new Promise((shown) => new MutationObserver(() => {
                 if (document.body.innerText.includes('are you there?')) shown('shown');
             }).observe(document.body, { childList: true, subtree: true })),
         ]);
         document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))",
    );
    assert_eq!(page.runs("return first"), json!("shown"));
}

#[test]
fn a_reload_opens_one_connection() {
    let server = TestServer::start();
    let proxy = Proxy::to(server.addr().port());
    let page = Page::join_at(proxy.addr(), "ann");
    let count = "globalThis.attempts = 0;
        globalThis.WebSocket = class extends WebSocket {
            constructor(...all) { super(...all); attempts++; }
        };";
    page.prepares(count);
    // The page is there before the connection is.
    proxy.delay(Duration::from_millis(200));
    page.reload();
    page.say("hello");
    page.shows("hello");
    page.until("!document.querySelector('.pending')");
    assert_eq!(page.value("attempts"), json!(1));
}
