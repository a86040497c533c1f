//! Pages of other sites that say something by `fetch`, in a real browser (CORS), and what they are
//! told.

use natterjack::config::Origin;
use serde_json::json;

use crate::support::{Client, Issuer, Page, Raw, TestServer};

/// A server that takes tokens, and pages of this origin.
fn serve(issuer: &Issuer, origin: &str) -> TestServer {
    let origin = Origin::parse(origin).unwrap();
    TestServer::with(|config| {
        config.jwt_key = Some(issuer.file());
        config.origins = vec![origin];
    })
}

/// What the page gets for a `POST`: the status and the body, or that it may not know.
#[track_caller]
fn fetch(page: &Page, server: &TestServer, token: &str, text: &str) -> String {
    let url = format!("http://{}/rooms/lobby", server.addr());
    let bearer = format!("Bearer {token}");
    page.value(&format!(
        "(window.got = null, fetch({url:?}, {{method: 'POST', body: {text:?}, \
           headers: {{Authorization: {bearer:?}, 'Content-Type': 'text/plain'}}}}) \
         .then(async (r) => {{ window.got = r.status + ' ' + (await r.text()).trim(); }}, \
               () => {{ window.got = 'refused'; }}), 0)"
    ));
    page.until("window.got !== null");
    page.value("window.got").as_str().unwrap().to_string()
}

#[test]
fn a_page_of_an_allowed_site_may_post_and_read_the_response() {
    let issuer = Issuer::es256();
    // A probe is a page as well, and without a policy that forbids it to ask elsewhere.
    let site = TestServer::start();
    let server = serve(&issuer, &format!("http://{}/", site.addr()));
    let page = Page::open_at(site.addr(), "/healthz");
    let mut ann = Client::connect(
        server.addr(),
        &format!("/chat/ann?token={}", issuer.token("ann")),
    );
    ann.hears("Welcome ann!");
    let got = fetch(&page, &server, &issuer.token("door"), "I am open");
    assert!(got.starts_with("200 "), "{got}");
    ann.hears("door: I am open");
    // What goes wrong can be read as well.
    let got = fetch(&page, &server, "x", "hello");
    assert!(got.starts_with("401 bad token"), "{got}");
    let got = fetch(&page, &server, &issuer.token("door"), " ");
    assert!(got.starts_with("400 "), "{got}");
    let long = "x".repeat(5000);
    let got = fetch(&page, &server, &issuer.token("door"), &long);
    assert!(got.starts_with("413 "), "{got}");

    let stranger = TestServer::start();
    let page = Page::open_at(stranger.addr(), "/healthz");
    let got = fetch(&page, &server, &issuer.token("door"), "let me in");
    assert_eq!(got, "refused");
    let fence = fetch(
        &Page::open_at(site.addr(), "/healthz"),
        &server,
        &issuer.token("door"),
        "fence",
    );
    assert!(fence.starts_with("200 "), "{fence}");
    ann.hears("door: fence");
}

#[test]
fn a_page_of_an_allowed_site_may_read_and_follow_a_room() {
    let site = TestServer::start();
    let origin = Origin::parse(&format!("http://{}", site.addr())).unwrap();
    let server = TestServer::with(|config| config.origins = vec![origin]);
    let mut ann = server.typed_in("ann", "attic");
    let mut say = |text: &str| ann.says_in("attic", text);
    let id = say("1");
    let read = |page: &Page| {
        let url = format!("http://{}/rooms/attic", server.addr());
        // With headers that have to be asked for.
        page.value(&format!(
            "(globalThis.got = null, fetch({url:?}, {{headers: {{'If-None-Match': '\"x\"'}}}}) \
             .then(async (r) => {{ got = [r.headers.get('ETag'), (await r.json()).messages[0].text]; }}, \
                   () => {{ got = 'refused'; }}), \
             globalThis.heard = [], globalThis.source = new EventSource({url:?}), \
             source.onerror = () => {{ if (source.readyState === 2) heard.push('refused'); }}, \
             source.addEventListener('joined', () => heard.push('joined')), \
             source.addEventListener('chat', (e) => heard.push(JSON.parse(e.data).text)), 0)"
        ));
        page.until("got !== null && heard.length > 0");
    };
    let page = Page::open_at(site.addr(), "/healthz");
    read(&page);
    assert_eq!(page.value("got"), json!([format!("\"{id}\""), "1"]));
    say("2");
    page.until("heard.length > 1");
    assert_eq!(page.value("heard"), json!(["joined", "2"]));
    let stranger = TestServer::start();
    let page = Page::open_at(stranger.addr(), "/healthz");
    read(&page);
    assert_eq!(page.value("[got, ...heard]"), json!(["refused", "refused"]));
}

/// The head of an answer.
fn head(server: &TestServer, request: &str) -> String {
    let mut raw = Raw::connect(server.addr());
    raw.send(request.as_bytes());
    let all = String::from_utf8(raw.rest()).unwrap();
    all.split_once("\r\n\r\n").unwrap().0.to_string()
}

#[test]
fn a_preflight_request_tells_what_is_allowed() {
    let issuer = Issuer::es256();
    let server = serve(&issuer, "https://friend.example");
    let ask = |line: &str, more: &str| {
        let head = head(
            &server,
            &format!("{line} HTTP/1.1\r\nHost: x\r\n{more}\r\n"),
        );
        head.lines().map(String::from).collect::<Vec<_>>()
    };
    let friend = "Origin: https://friend.example\r\n";
    let asked = ask(
        "OPTIONS /rooms/lobby",
        &format!("{friend}Access-Control-Request-Method: POST\r\n"),
    );
    assert_eq!(asked[0], "HTTP/1.1 204 No Content");
    for line in [
        "Allow: GET, HEAD, POST, OPTIONS",
        "Access-Control-Allow-Origin: https://friend.example",
        "Access-Control-Allow-Methods: GET, HEAD, POST, DELETE",
        "Access-Control-Allow-Headers: Authorization, Content-Type, If-None-Match, Last-Event-ID",
        "Vary: Origin",
    ] {
        assert!(asked.iter().any(|one| one == line), "{line}: {asked:?}");
    }
    assert!(!asked.iter().any(|line| line.starts_with("Content-Length")));
    let cors = |head: &[String]| head.iter().any(|line| line.starts_with("Access-Control-"));
    let evil = ask("OPTIONS /rooms/lobby", "Origin: https://evil.example\r\n");
    assert_eq!(evil[0], "HTTP/1.1 403 Forbidden");
    assert!(!cors(&evil));
    let own = ask("OPTIONS /rooms/lobby", "");
    assert!(own[0].ends_with(" 204 No Content") && !cors(&own));
    // Every answer can be read there, and no cache takes one for the other.
    for (line, status) in [
        ("GET /healthz", "200"),
        ("GET /nowhere", "404"),
        ("GET /ws", "401"),
        ("POST /rooms/lobby", "401"),
        ("GET /rooms/lobby", "401"),
    ] {
        let head = ask(line, friend);
        assert_eq!(head[0].split(' ').nth(1), Some(status), "{line}");
        assert!(cors(&head), "{line}: {head:?}");
        let other = ask(line, "");
        assert!(!cors(&other), "{line}: {other:?}");
        assert!(other.iter().any(|line| line == "Vary: Origin"), "{line}");
    }
    // Where every site may come, nothing depends on which.
    let server = serve(&issuer, "*");
    let any = head(
        &server,
        "POST /rooms/lobby HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n",
    );
    assert!(
        any.contains("\r\nAccess-Control-Allow-Origin: *\r\n"),
        "{any}"
    );
    assert!(!any.contains("Vary: Origin"), "{any}");
}
