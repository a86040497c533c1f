//! A real browser, and pages in it as people see them: by their labels, not by their markup.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headless_chrome::protocol::cdp::Emulation;
use headless_chrome::protocol::cdp::Page::CaptureScreenshotFormatOption;
use headless_chrome::{LaunchOptions, Tab};
use serde_json::Value;

use super::TestServer;

/// Debian's chromium, without a window; ends when dropped.
pub struct Browser(headless_chrome::Browser);

/// One tab, with storage of its own: another person's browser.
pub struct Page(Arc<Tab>);

impl Browser {
    /// Starts it.
    pub fn start() -> Browser {
        let args = [
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // Certificates of tests are from a CA of their own.
            "--ignore-certificate-errors",
        ];
        let options = LaunchOptions::default_builder()
            .path(Some(PathBuf::from("/usr/bin/chromium")))
            .sandbox(false)
            .window_size(Some((1280, 800)))
            .idle_browser_timeout(Duration::from_secs(120))
            .args(args.iter().map(OsStr::new).collect())
            .build()
            .expect("all options are given");
        let browser = headless_chrome::Browser::new(options);
        Browser(browser.expect("chromium must be installed: apt-get install chromium"))
    }

    /// Opens the server's page.
    pub fn open(&self, server: &TestServer, path: &str) -> Page {
        self.open_at(server.addr(), path)
    }

    /// Opens the page that is served at an address.
    pub fn open_at(&self, addr: SocketAddr, path: &str) -> Page {
        self.open_as("http", addr, path)
    }

    /// The same by `http` or `https`.
    pub fn open_as(&self, scheme: &str, addr: SocketAddr, path: &str) -> Page {
        let context = self.0.new_context().unwrap();
        let page = Page(context.new_tab().unwrap());
        page.0
            .navigate_to(&format!("{scheme}://{addr}{path}"))
            .unwrap();
        page.0.wait_until_navigated().unwrap();
        page
    }

    /// Opens the page and joins the lobby.
    pub fn join(&self, server: &TestServer, name: &str) -> Page {
        self.join_at(server.addr(), name)
    }

    /// Opens the page that is served at an address and joins the lobby.
    pub fn join_at(&self, addr: SocketAddr, name: &str) -> Page {
        let page = self.open_at(addr, "/");
        page.fill("Name", name);
        page.press("Join");
        page.has("Message");
        page
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
    /// The value of an expression in the page.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        let result = self.0.evaluate(
            &format!("(() => {{ {FIND} return ({expression}); }})()"),
            false,
        );
        match result {
            Ok(object) => object.value.unwrap_or(Value::Null),
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let mut seen = String::new();
        let end = std::time::Instant::now() + super::DEADLINE;
        while self.value(expression) != Value::Bool(true) {
            if std::time::Instant::now() > end {
                seen.push_str(
                    self.value("document.body.innerText")
                        .as_str()
                        .unwrap_or_default(),
                );
                panic!("never true: {expression}; the page says:\n{seen}");
            }
            std::thread::sleep(Duration::from_millis(10));
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
            self.0.send_character(text).unwrap();
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

    /// Types into the focused element.
    pub fn types(&self, text: &str) {
        for letter in text.chars() {
            self.0.send_character(&letter.to_string()).unwrap();
        }
    }

    /// Presses a key in the focused element.
    pub fn key(&self, key: &str) {
        self.0.press_key(key).unwrap();
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
        self.0.reload(false, None).unwrap();
        self.0.wait_until_navigated().unwrap();
    }

    /// A phone of this size in CSS pixels from now on.
    pub fn phone(&self, width: u32, height: u32) {
        self.0
            .call_method(Emulation::SetDeviceMetricsOverride {
                width,
                height,
                device_scale_factor: 2.0,
                mobile: true,
                scale: None,
                screen_width: None,
                screen_height: None,
                position_x: None,
                position_y: None,
                dont_set_visible_size: None,
                screen_orientation: None,
                viewport: None,
                display_feature: None,
                device_posture: None,
            })
            .unwrap();
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

    /// A picture of it as PNG.
    pub fn picture(&self) -> Vec<u8> {
        self.0
            .capture_screenshot(CaptureScreenshotFormatOption::Png, None, None, true)
            .unwrap()
    }
}
