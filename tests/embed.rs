//! The page in a frame of another site, in a real browser.

use natterjack::config::Origin;
use serde_json::json;

use crate::support::{Page, Raw, TestServer};

/// A server whose page may be shown in a frame by these sites.
fn serve(sites: &[String]) -> TestServer {
    let sites = sites.iter().map(|site| Origin::parse(site).unwrap());
    TestServer::with(|config| config.embed = sites.collect())
}

/// The policy that comes with a file of the page.
fn policy(server: &TestServer, path: &str, headers: &str) -> String {
    let mut raw = Raw::connect(server.addr());
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    let all = String::from_utf8_lossy(&raw.rest()).into_owned();
    assert!(!all.to_lowercase().contains("x-frame-options"), "{all}");
    let mut lines = all.lines();
    let policy = lines.find_map(|line| line.strip_prefix("Content-Security-Policy: "));
    policy.expect("a policy").to_string()
}

#[test]
fn the_policy_names_who_may_put_a_frame_around_the_page() {
    let sites = ["https://WWW.example.org:443/", "http://localhost:8000"].map(String::from);
    for (sites, allowed) in [
        (&[][..], "'none'"),
        (&sites, "https://www.example.org http://localhost:8000"),
        (&["*".to_string()], "*"),
    ] {
        let server = serve(sites);
        let end = format!("; frame-ancestors {allowed}");
        let all = policy(&server, "/", "");
        assert!(all.ends_with(&end), "{all}");
        // Also with the answer that the browser has the page already.
        assert_eq!(policy(&server, "/", "If-None-Match: *\r\n"), all);
    }
}

#[test]
fn only_a_site_that_is_named_can_show_the_page() {
    // A probe is a page as well, and one without a policy of its own.
    let site = TestServer::start();
    let named = serve(&[format!("http://{}", site.addr())]);
    let other = serve(&["https://www.example.org".to_string()]);
    let page = Page::open_at(site.addr(), "/healthz");
    let frame = |server: &TestServer| {
        // Folded away, so everything is unread.
        let url = format!("http://{}/?room=attic&name=ann", server.addr());
        page.value(&format!(
            "(() => {{ const frame = document.createElement('iframe'); frame.src = {url:?}; \
               frame.style.height = 0; document.body.append(frame); return 0; }})()"
        ));
    };
    page.value("(globalThis.heard = [], onmessage = (e) => heard.push([e.origin, e.data]), 0)");
    let mut bob = [&other, &named].map(|server| server.typed_in("bob", "attic"));
    frame(&other);
    frame(&named);
    bob[1].gets(json!({"type": "presence", "userId": "ann", "status": "online"}));
    bob[1].put(json!({"type": "chat", "room": "attic", "text": "hello"}));
    page.until("heard.length > 0");
    let unread = json!({"natterjack": {"unread": 1}});
    let heard = json!([[format!("http://{}", named.addr()), unread]]);
    assert_eq!(page.value("heard"), heard);
    // Nobody has come in by the other one.
    bob[0].put(json!({"type": "who", "room": "attic"}));
    bob[0].gets(json!({"type": "who", "users": ["bob"]}));
}
