//! The page as an app: it can be installed, opens without a connection, and takes a new version.

use serde_json::{Value, json};

use crate::page_connection::{Open, in_chromium};
use crate::support::{Front, Page, Proxy, Raw, TestServer, eventually};

/// Waits until the page is kept, in its newest version. WebKit may not say when a worker is activated, and loads no page
/// while one takes over.
fn is_kept(page: &Page) {
    let worker = "const { active, waiting, installing } = await navigator.serviceWorker.ready;
                  return !!active && !waiting && !installing";
    eventually("the page is kept", || {
        (page.runs(worker) == true).then_some(())
    });
}

/// A file as browsers get it.
fn file(server: &TestServer, path: &str) -> String {
    let mut raw = Raw::connect(server.addr());
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let answer = String::from_utf8(raw.rest()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    body.to_string()
}

#[test]
fn it_can_be_installed() {
    let server = TestServer::start();
    let page = Page::open(&server, "/");
    let manifest = page.does("Page.getAppManifest", json!({}));
    assert_eq!(manifest["errors"], json!([]), "{manifest}");
    let manifest: Value = serde_json::from_str(manifest["data"].as_str().unwrap()).unwrap();
    assert_eq!(manifest["name"], json!("natterjack"));
    // Each icon has the size that is said.
    for icon in manifest["icons"].as_array().unwrap() {
        let size = page.runs(&format!(
            "const image = new Image();
             image.src = {};
             await image.decode();
             return `${{image.naturalWidth}}x${{image.naturalHeight}}`",
            icon["src"]
        ));
        assert!(
            icon["sizes"] == size || icon["sizes"] == "any",
            "{icon} is {size}"
        );
    }
    let installable = page.does("Page.getInstallabilityErrors", json!({}));
    let errors = installable["installabilityErrors"].as_array().unwrap();
    // Tests have windows of their own, in which nothing can be installed.
    let real = |error: &&Value| error["errorId"] != "in-incognito";
    assert_eq!(errors.iter().find(real), None);
    // What asks for it without a look at the page gets it, too.
    page.until("(document.querySelector('[rel=apple-touch-icon]').href.endsWith('.png'))");
    assert_eq!(
        page.runs("return (await fetch('favicon.ico')).status"),
        json!(200)
    );
}

#[test]
fn it_opens_without_a_connection_and_says_so_calmly() {
    let server = TestServer::start();
    let page = Page::join(&server, "ann");
    opens_without_a_connection(server, &page);
}

pub fn opens_without_a_connection(server: TestServer, page: &Page) {
    page.say("before");
    page.shows("before");
    is_kept(page);
    let addr = server.addr();
    server.stop();
    page.reload();
    page.has("Message");
    page.says("No connection, trying again. What you write is kept.");
    page.say("meanwhile");
    let server = TestServer::with(|config| config.listen = vec![addr]);
    let mut bob = server.join("bob");
    bob.hears_at_last("ann: meanwhile");
    page.says("Connected again.");
}

#[test]
fn it_opens_where_the_network_takes_packets_and_answers_nothing() {
    let server = TestServer::start();
    let proxy = Proxy::to(server.addr().port());
    let page = Page::join_at(proxy.addr(), "ann");
    is_kept(&page);
    proxy.stall();
    page.reload();
    page.has("Message");
    proxy.cut();
    proxy.heal();
    page.say("hello");
    page.shows("hello");
}

#[test]
fn a_new_version_is_there_with_the_next_load_and_none_is_forced() {
    takes_a_new_version(in_chromium);
}

pub fn takes_a_new_version(open: Open) {
    let server = TestServer::start();
    let front = Front::before(server.addr());
    let document = file(&server, "/").replace("<body>", "<body class=\"old\">");
    front.answers("/", "text/html", document.clone());
    let script = file(&server, "/app.js") + "document.body.dataset.script = 'old';";
    front.answers("/app.js", "text/javascript", script);
    let worker = file(&server, "/sw.js");
    let (version, rest) = worker.split_once(";\n").unwrap();
    // Any change of the page changes its document.
    let number = version.split('"').nth(1).unwrap();
    assert!(document.contains(number), "{number}: {document}");
    let tag = rest
        .split_once("\"./\":\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let worker = worker
        .replace(version, "const VERSION = 'old'")
        .replace(tag, "old");
    front.answers("/sw.js", "text/javascript", worker);
    let Some(page) = open("http", front.addr()) else {
        return;
    };
    page.fill("Name", "ann");
    page.press("Join");
    page.is_in();
    is_kept(&page);
    let is_old = "document.body.className === 'old' && document.body.dataset.script === 'old'";
    page.reload();
    page.until(is_old);
    // The server is replaced. Document and scripts are of one version, before the new one is kept and after it.
    front.passes_on();
    for _ in 0..2 {
        page.reload();
        page.has("Message");
        assert_eq!(page.value("document.body.className"), json!(""));
        assert_eq!(page.value("document.body.dataset.script"), json!(null));
        page.value("(globalThis.isStill = true, 0)");
        page.runs(
            "while ((await caches.keys()).some((name) => name.endsWith(' old')) || !(await caches.keys()).length) {
                 await new Promise(requestAnimationFrame);
             }",
        );
        is_kept(&page);
        assert_eq!(
            page.value("isStill"),
            json!(true),
            "it does not load itself again"
        );
    }
}

#[test]
fn what_else_is_served_there_later_is_not_hidden() {
    let server = TestServer::start();
    let front = Front::before(server.addr());
    let page = Page::join_at(front.addr(), "ann");
    is_kept(&page);
    page.reload();
    page.has("Message");
    front.answers("/", "text/html", "<script src=app.js></script>".into());
    front.answers(
        "/app.js",
        "text/javascript",
        "document.title = 'another site'".into(),
    );
    page.reload();
    page.until("document.title === 'another site'");
}

#[test]
fn in_a_frame_nothing_is_kept() {
    let site = TestServer::start();
    let server = TestServer::with(|config| config.embed = vec![natterjack::config::Origin::Any]);
    let mut page = Page::open_at(site.addr(), "/healthz");
    page.value(&format!(
        "(() => {{ const frame = document.createElement('iframe'); frame.src = 'http://{}/?name=ann';
         document.body.append(frame); return 0; }})()",
        server.addr()
    ));
    let mut foo = server.join("foo");
    foo.hears_at_last("ann: has joined the chat!");
    page.enter_frame();
    page.says("lobby");
    assert_eq!(
        page.runs("return (await navigator.serviceWorker.getRegistrations()).length"),
        json!(0)
    );
}
