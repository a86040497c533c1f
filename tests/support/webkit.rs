//! WebKit: the browser of its tests, and classic WebDriver over HTTP. Both need a display.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::browser::Driver;
use super::{eventually, free_port};

/// How long an answer may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `$0` is its port. It ends, and its browser with it, when the shell reads no more: at the latest with the
/// process of the tests.
const LAUNCH: &str = r#"WebKitWebDriver --port="$0" </dev/null & cat >/dev/null; kill $!"#;

/// A window with storage of its own; closed when dropped.
pub struct Tab {
    addr: SocketAddr,
    session: String,
    _shell: Child,
}

impl Tab {
    /// Opens an empty one.
    pub fn open() -> Tab {
        let port = free_port();
        let shell = Command::new("sh")
            .args(["-c", LAUNCH, &port.to_string()])
            // It sorts names as its user's language does, and in the language C by bytes.
            .env("LANG", "en_US.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut tab = Tab {
            addr: ([127, 0, 0, 1], port).into(),
            session: String::new(),
            _shell: shell,
        };
        eventually("WebKitWebDriver listens: make page-test", || {
            TcpStream::connect(tab.addr).ok()
        });
        let wanted = json!({"acceptInsecureCerts": true, "unhandledPromptBehavior": "accept"});
        let wanted = json!({"alwaysMatch": wanted});
        let session = tab.run("POST", "/session", json!({"capabilities": wanted}));
        let session = session.unwrap_or_else(|error| panic!("{error}"));
        tab.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        tab
    }

    /// Runs a command and returns its result.
    fn run(&self, method: &str, path: &str, params: Value) -> Result<Value, String> {
        let body = params.to_string();
        let failed = |error: std::io::Error| format!("{path}: {error}");
        let mut stream = TcpStream::connect(self.addr).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.addr,
            body.len()
        )
        .map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        // A browser that has ended answers nothing.
        let answer: Result<Value, _> = serde_json::from_str(body);
        let mut answer = answer.map_err(|error| format!("{path}: {error}"))?;
        match answer["value"].get("error") {
            Some(_) => Err(format!("{path}: {}", answer["value"])),
            None => Ok(answer["value"].take()),
        }
    }

    fn post(&self, command: &str, params: Value) -> Result<Value, String> {
        self.run("POST", &format!("{}{command}", self.session), params)
    }

    #[track_caller]
    fn does(&self, command: &str, params: Value) {
        let done = self.post(command, params);
        done.unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Driver for Tab {
    fn goes_to(&self, url: &str) {
        self.does("/url", json!({"url": url}));
    }

    fn reload(&self) {
        self.does("/refresh", json!({}));
    }

    fn evaluate(&self, expression: &str) -> Result<Value, String> {
        let script = format!(
            "const done = arguments[0];
             (async () => JSON.stringify((await {expression}) ?? null))().then(done, () => done('null'));"
        );
        let text = self.post("/execute/async", json!({"script": script, "args": []}))?;
        serde_json::from_str(text.as_str().unwrap_or("null")).map_err(|error| error.to_string())
    }

    fn acts(&self, device: Value) {
        self.does("/actions", json!({"actions": [device]}));
    }

    /// As near as it can: the window is no narrower than its bar.
    fn resizes(&self, width: u32, height: u32) {
        let bar = self.evaluate("outerHeight - innerHeight").unwrap();
        let height = u64::from(height) + bar.as_u64().unwrap();
        self.does("/window/rect", json!({"width": width, "height": height}));
    }

    fn grants(&self, permission: &str, _origin: &str) -> bool {
        eprintln!("WebKit can't be told to allow {permission}");
        false
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        let _ = self.run("DELETE", &self.session, json!({}));
    }
}
