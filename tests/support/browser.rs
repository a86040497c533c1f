//! Pages in a real browser as people see them: by their labels, not by their markup.

mod input;
mod pictures;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::devtools::Tab;
use super::{DEADLINE, TestServer};
use super::{firefox, webkit};

/// A tab with storage of its own: another person's browser. It is closed when dropped. The second is the
/// frame in it that is meant, if not the page itself.
pub struct Page(Browser, Option<Value>);

/// Most tests are of Chromium, which can do more on demand.
enum Browser {
    Chromium(Tab),
    Other(Box<dyn Driver>),
}

/// What other browsers do, each by its own protocol.
pub trait Driver {
    /// Goes to an address and waits until it is loaded.
    fn goes_to(&self, url: &str);

    /// Loads the page again and waits until it is loaded.
    fn reload(&self);

    /// The value of an expression, of a promise too. Null if it throws.
    fn evaluate(&self, expression: &str) -> Result<Value, String>;

    /// Lets a keyboard or a mouse act, as `actions` of WebDriver say.
    fn acts(&self, device: Value);

    /// Says yes to what it would ask its user for at this origin. False if it can't be told.
    fn grants(&self, permission: &str, origin: &str) -> bool;

    /// Makes the page this large in CSS pixels.
    fn resizes(&self, width: u32, height: u32);

    /// Enlarges the page so many times, as two fingers do. False if it can't.
    fn zooms(&self, _factor: u32) -> bool {
        false
    }

    /// Runs a script in every page before its own. False if it can't.
    fn prepares(&self, _script: &str) -> bool {
        false
    }

    /// A picture of a part of the page, which has x, y, width and height: a PNG as base64. `None` if it can't.
    fn picture(&self, _place: &Value) -> Option<String> {
        None
    }

    /// The page on paper: a PDF as base64. `None` if it can't.
    fn prints(&self) -> Option<String> {
        None
    }
}

/// Finds a control by its label, as a screen reader does.
const FIND: &str = r#"
function find(name) {
    const named = (e) => [...(e.labels ?? [])].some((l) => l.textContent.trim() === name)
        || e.getAttribute("aria-label") === name
        || e.tagName === "BUTTON" && e.textContent.trim() === name;
    const shown = (e) => e.checkVisibility();
    return [...document.querySelectorAll("input, textarea, button")].filter(shown).find(named);
}
"#;

impl Page {
    /// Opens the server's page.
    pub fn open(server: &TestServer, path: &str) -> Page {
        Page::open_at(server.addr(), path)
    }

    /// Opens the page that is served at an address.
    pub fn open_at(addr: SocketAddr, path: &str) -> Page {
        Page::open_as("http", addr, path)
    }

    /// The same by `http` or `https`.
    pub fn open_as(scheme: &str, addr: SocketAddr, path: &str) -> Page {
        Page(Browser::Chromium(Tab::open()), None).goes_to(scheme, addr, path)
    }

    /// Opens the server's page in a browser that is not Chromium: in Firefox, or in WebKit if `BROWSER` says so.
    /// One page at a time in each test. `None` where there is no Firefox.
    pub fn open_elsewhere(server: &TestServer, path: &str) -> Option<Page> {
        Page::open_elsewhere_as("http", server.addr(), path)
    }

    /// The same by `http` or `https`, at an address.
    pub fn open_elsewhere_as(scheme: &str, addr: SocketAddr, path: &str) -> Option<Page> {
        let tab: Box<dyn Driver> = match std::env::var("BROWSER").as_deref() {
            Ok("webkit") => Box::new(webkit::Tab::open()),
            _ => match firefox::Tab::open() {
                Some(tab) => Box::new(tab),
                None => {
                    eprintln!("there is no Firefox here: make tools");
                    return None;
                }
            },
        };
        tab.goes_to(&format!("{scheme}://{addr}{path}"));
        Some(Page(Browser::Other(tab), None))
    }

    #[track_caller]
    fn chromium(&self) -> &Tab {
        match &self.0 {
            Browser::Chromium(tab) => tab,
            Browser::Other(_) => panic!("only Chromium can do that"),
        }
    }

    /// Opens it in a browser that lets no page keep anything.
    pub fn open_without_storage(addr: SocketAddr, path: &str) -> Page {
        let page = Page(Browser::Chromium(Tab::open()), None);
        let deny =
            "for (const storage of ['localStorage', 'sessionStorage']) Object.defineProperty(
            window, storage, { get() { throw new DOMException('denied', 'SecurityError'); } });";
        page.prepares(deny);
        page.goes_to("http", addr, path)
    }

    fn goes_to(self, scheme: &str, addr: SocketAddr, path: &str) -> Page {
        let url = format!("{scheme}://{addr}{path}");
        let opened = self.chromium().does("Page.navigate", json!({"url": url}));
        assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        self.until("document.readyState === 'complete'");
        self
    }

    /// Opens the page and joins the lobby.
    pub fn join(server: &TestServer, name: &str) -> Page {
        Page::join_at(server.addr(), name)
    }

    /// Opens the page that is served at an address and joins the lobby.
    pub fn join_at(addr: SocketAddr, name: &str) -> Page {
        let page = Page::open_at(addr, "/");
        page.fill("Name", name);
        page.press("Join");
        page.is_in();
        page
    }

    /// Waits until it is in a room. The field for messages is there sooner.
    #[track_caller]
    pub fn is_in(&self) {
        self.has("Message");
        self.until("/people|only/.test(document.getElementById('subtitle').textContent)");
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        match self.evaluate(expression) {
            Ok(value) => value,
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    /// The frame in it is meant from now on.
    pub fn enter_frame(&mut self) {
        let tree = self.chromium().does("Page.getFrameTree", json!({}));
        let frame = &tree["frameTree"]["childFrames"][0]["frame"]["id"];
        self.1 = Some(frame.clone());
    }

    /// The page around the frame is meant from now on.
    pub fn leave_frame(&mut self) {
        self.1 = None;
    }

    fn evaluation(&self, expression: &str) -> Result<Value, String> {
        let mut params = json!({"expression": expression, "returnByValue": true});
        if let Some(frame) = &self.1 {
            // A frame may have loaded another page since.
            let world = json!({"frameId": frame, "worldName": "test"});
            let mut world = self.chromium().run("Page.createIsolatedWorld", world)?;
            params["contextId"] = world["executionContextId"].take();
        }
        Ok(params)
    }

    /// Null if it throws; an error while one page takes another's place.
    fn evaluate(&self, expression: &str) -> Result<Value, String> {
        let function = format!("(() => {{ {FIND} return ({expression}); }})()");
        if let Browser::Other(tab) = &self.0 {
            return tab.evaluate(&function);
        }
        let params = self.evaluation(&function)?;
        let mut result = self.chromium().run("Runtime.evaluate", params)?;
        Ok(match result.get("exceptionDetails") {
            Some(_) => Value::Null,
            None => result["result"]["value"].take(),
        })
    }

    /// What an asynchronous function with this body returns; an error's code or words if it throws.
    #[track_caller]
    pub fn runs(&self, body: &str) -> Value {
        let function =
            format!("(async () => {{ {body} }})().catch((error) => error.code ?? String(error))");
        if let Browser::Other(tab) = &self.0 {
            return tab.evaluate(&function).unwrap();
        }
        let mut params = self.evaluation(&function).unwrap();
        params["awaitPromise"] = json!(true);
        let mut result = self.chromium().does("Runtime.evaluate", params);
        result["result"]["value"].take()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        self.becomes(expression, &Value::Bool(true));
    }

    /// Waits until an expression has this value.
    #[track_caller]
    pub fn becomes(&self, expression: &str, expected: &Value) {
        let end = Instant::now() + DEADLINE;
        loop {
            let asked = Instant::now();
            let found = self.evaluate(expression);
            if found.as_ref() == Ok(expected) {
                return;
            }
            if Instant::now() > end {
                let seen = self.value("document.body.innerText");
                let seen = seen.as_str().unwrap_or_default();
                panic!("never {expected}: {expression}; at last {found:?}; the page says:\n{seen}");
            }
            // Half of the page's time at least is its own.
            std::thread::sleep(asked.elapsed().max(Duration::from_millis(10)));
        }
    }

    /// Waits for a control.
    #[track_caller]
    pub fn has(&self, label: &str) {
        self.until(&format!("!!find({label:?})"));
    }

    /// Types into a field, key by key, instead of what is in it.
    #[track_caller]
    pub fn fill(&self, label: &str, text: &str) {
        self.has(label);
        self.value(&format!(
            "(find({label:?}).focus(), find({label:?}).select(), 0)"
        ));
        if text.is_empty() {
            self.key("Delete");
        } else {
            self.insert(text);
        }
    }

    /// Clicks a button.
    #[track_caller]
    pub fn press(&self, label: &str) {
        self.has(label);
        self.value(&format!("(find({label:?}).click(), 0)"));
    }

    /// Clicks the button that says this among other things.
    #[track_caller]
    pub fn press_containing(&self, text: &str) {
        let button = format!(
            "[...document.querySelectorAll('button')].find((b) => b.checkVisibility() && b.innerText.includes({text:?}))"
        );
        self.until(&format!("!!{button}"));
        self.value(&format!("({button}.click(), 0)"));
    }

    /// Says something.
    #[track_caller]
    pub fn say(&self, text: &str) {
        self.fill("Message", text);
        self.key("Enter");
    }

    /// Waits until the conversation shows this.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.until(&format!(
            "document.querySelector('[role=log]').innerText.includes({text:?})"
        ));
    }

    /// How often the conversation shows this.
    #[track_caller]
    pub fn count(&self, text: &str) -> u64 {
        let split =
            format!("document.querySelector('[role=log]').innerText.split({text:?}).length - 1");
        self.value(&split).as_u64().unwrap_or_default()
    }

    /// Waits until the page says this anywhere.
    #[track_caller]
    pub fn says(&self, text: &str) {
        self.until(&format!("document.body.innerText.includes({text:?})"));
    }

    /// Loads it again, as its user would.
    pub fn reload(&self) {
        if let Browser::Other(tab) = &self.0 {
            return tab.reload();
        }
        self.value("(globalThis.isOld = true, 0)");
        self.chromium().does("Page.reload", json!({}));
        self.until("!globalThis.isOld && document.readyState === 'complete'");
    }

    /// Runs a command of the developer tools that this has no other word for.
    #[track_caller]
    pub fn does(&self, method: &str, params: Value) -> Value {
        self.chromium().does(method, params)
    }

    /// Runs an expression in its service worker.
    #[track_caller]
    pub fn does_in_worker(&self, expression: &str) -> Value {
        self.chromium().does_in_worker(expression)
    }

    /// Says yes to what the browser would ask its user for. False if it can't be told.
    pub fn grants(&self, permission: &str) -> bool {
        if let Browser::Other(tab) = &self.0 {
            let origin = self.value("location.origin");
            return tab.grants(permission, origin.as_str().unwrap());
        }
        self.chromium().grants(permission);
        true
    }

    /// A phone of this size in CSS pixels from now on.
    pub fn phone(&self, width: u32, height: u32) {
        if let Browser::Other(tab) = &self.0 {
            return tab.resizes(width, height);
        }
        let params =
            json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.does("Emulation.setDeviceMetricsOverride", params);
    }

    /// Gives it the focus, or takes it away. Only in Chromium: other browsers show one page at a time.
    pub fn has_focus(&self, has_focus: bool) {
        if let Browser::Chromium(tab) = &self.0 {
            let enabled = json!({"enabled": has_focus});
            tab.does("Emulation.setFocusEmulationEnabled", enabled);
        }
    }

    /// Enlarges the page so many times, as two fingers do. False if the browser can't be told.
    pub fn zooms(&self, factor: u32) -> bool {
        if let Browser::Other(tab) = &self.0 {
            return tab.zooms(factor);
        }
        let factor = json!({"pageScaleFactor": factor});
        self.does("Emulation.setPageScaleFactor", factor);
        true
    }

    /// Runs a script from now on in every page before its own. False if the browser can't be told.
    pub fn prepares(&self, script: &str) -> bool {
        if let Browser::Other(tab) = &self.0 {
            return tab.prepares(script);
        }
        let source = json!({"source": script});
        self.does("Page.addScriptToEvaluateOnNewDocument", source);
        true
    }

    /// Every URL that it has requested from other hosts.
    pub fn foreign_urls(&self) -> Vec<String> {
        let all = "performance.getEntriesByType('resource').map((e) => e.name)";
        let own = self
            .value("location.origin")
            .as_str()
            .unwrap_or_default()
            .to_string();
        let all = self.value(&format!("JSON.stringify({all})"));
        let all: Vec<String> = serde_json::from_str(all.as_str().unwrap_or("[]")).unwrap();
        all.into_iter()
            .filter(|address| !address.starts_with(&own))
            .collect()
    }
}
