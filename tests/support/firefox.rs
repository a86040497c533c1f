//! Firefox without a window, and WebDriver BiDi over a WebSocket: JSON, one command and its answer
//! after another.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::Stream;
use super::browser::Driver;

/// How long an answer may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `$0` is its program, `$1` the folder of its profile. It ends when the shell reads no more: at the latest with
/// the process of the tests.
const LAUNCH: &str = r#""$0" --headless --no-remote --profile "$1" --remote-debugging-port 0 --remote-allow-system-access </dev/null 2>&1 &
    cat >/dev/null; kill $!; wait $!; rm -rf "$1""#;

/// It is to ask nobody on the network for anything, and to show notifications without a desktop.
const PREFERENCES: [(&str, &str); 8] = [
    ("alerts.useSystemBackend", "false"),
    ("app.normandy.enabled", "false"),
    ("app.update.disabledForTesting", "true"),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
    ("services.settings.server", r#""data:,""#),
    ("toolkit.telemetry.reportingpolicy.firstRun", "false"),
];

/// A running Firefox.
struct Firefox {
    socket: WebSocket<Stream>,
    commands: u64,
    _shell: Child,
}

/// A tab with storage of its own; closed when dropped. Its Firefox has one at a time, so that it has the focus.
pub struct Tab {
    firefox: Mutex<MutexGuard<'static, Option<Firefox>>>,
    person: Value,
    context: Value,
}

impl Firefox {
    /// The program, if it is installed.
    fn program() -> Option<&'static str> {
        static FOUND: OnceLock<Option<&str>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            ["firefox-esr", "firefox"].into_iter().find(|program| {
                let version = Command::new(program).arg("--version").output();
                version.is_ok_and(|version| version.status.success())
            })
        })
    }

    /// One of the two that all tests of a process share, as soon as no other test has it. Each starts when
    /// the first test needs it.
    fn get() -> Option<MutexGuard<'static, Option<Firefox>>> {
        static SHARED: [Mutex<Option<Firefox>>; 2] = [Mutex::new(None), Mutex::new(None)];
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let program = Firefox::program()?;
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        // A test that has failed with it has left it as it was.
        let mut firefox = SHARED[turn % SHARED.len()]
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        firefox.get_or_insert_with(|| Firefox::start(program));
        Some(firefox)
    }

    fn start(program: &str) -> Firefox {
        let profile = tempfile::tempdir().unwrap().keep();
        let preferences =
            PREFERENCES.map(|(name, value)| format!("user_pref({name:?}, {value});\n"));
        fs::write(profile.join("user.js"), preferences.concat()).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", LAUNCH, program])
            .arg(profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap()).lines();
        let url = said.find_map(|line| {
            let line = line.expect("it is text");
            let (_, url) = line.split_once("WebDriver BiDi listening on ")?;
            Some(format!("{url}/session"))
        });
        let url = url.expect("Firefox speaks WebDriver BiDi");
        // Its pipe must not fill up. Ends with it.
        std::thread::spawn(move || said.for_each(drop));
        let addr = url.trim_start_matches("ws://").trim_end_matches("/session");
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(url.as_str(), Stream::from(stream)).unwrap();
        let mut firefox = Firefox {
            socket,
            commands: 0,
            _shell: shell,
        };
        let wanted =
            json!({"acceptInsecureCerts": true, "unhandledPromptBehavior": {"default": "accept"}});
        let wanted = json!({"capabilities": {"alwaysMatch": wanted}});
        firefox.run("session.new", wanted).unwrap();
        firefox
    }

    /// Runs a command and returns its result.
    fn run(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.commands += 1;
        let id = self.commands;
        let command = json!({"id": id, "method": method, "params": params});
        let sent = self.socket.send(Message::text(command.to_string()));
        sent.map_err(|error| format!("{method}: {error}"))?;
        loop {
            let answer = self.socket.read();
            let answer = answer.map_err(|error| format!("{method}: {error}"))?;
            let Message::Text(answer) = answer else {
                continue;
            };
            let mut answer: Value = serde_json::from_str(&answer).expect("it is JSON");
            if answer["id"] == id {
                return match answer["type"] == "success" {
                    true => Ok(answer["result"].take()),
                    false => Err(format!("{method}: {}", answer["message"])),
                };
            }
        }
    }
}

impl Tab {
    /// Opens an empty one, as soon as no other test has one in the same Firefox. `None` where there is no Firefox.
    pub fn open() -> Option<Tab> {
        let mut tab = Tab {
            firefox: Mutex::new(Firefox::get()?),
            person: Value::Null,
            context: Value::Null,
        };
        tab.person = tab.does("browser.createUserContext", json!({}))["userContext"].take();
        let params = json!({"type": "tab", "userContext": tab.person});
        tab.context = tab.does("browsingContext.create", params)["context"].take();
        let params = json!({"context": tab.context});
        tab.does("browsingContext.activate", params);
        Some(tab)
    }

    fn run(&self, method: &str, params: Value) -> Result<Value, String> {
        let mut firefox = self.firefox.lock().unwrap();
        firefox.as_mut().expect("it runs").run(method, params)
    }

    #[track_caller]
    fn does(&self, method: &str, params: Value) -> Value {
        self.run(method, params)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Driver for Tab {
    fn goes_to(&self, url: &str) {
        let params = json!({"context": self.context, "url": url, "wait": "complete"});
        self.does("browsingContext.navigate", params);
    }

    fn reload(&self) {
        let params = json!({"context": self.context, "wait": "complete"});
        self.does("browsingContext.reload", params);
    }

    fn evaluate(&self, expression: &str) -> Result<Value, String> {
        let params = json!({
            "expression": format!("(async () => JSON.stringify((await {expression}) ?? null))()"),
            "target": {"context": self.context},
            "awaitPromise": true,
        });
        let result = self.run("script.evaluate", params)?;
        let text = result["result"]["value"].as_str().unwrap_or("null");
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn acts(&self, device: Value) {
        let params = json!({"context": self.context, "actions": [device]});
        self.does("input.performActions", params);
    }

    fn grants(&self, permission: &str, origin: &str) -> bool {
        let params = json!({
            "descriptor": {"name": permission},
            "state": "granted",
            "origin": origin,
            "userContext": self.person,
        });
        self.does("permissions.setPermission", params);
        true
    }

    fn resizes(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height});
        let params = json!({"context": self.context, "viewport": size});
        self.does("browsingContext.setViewport", params);
    }

    fn zooms(&self, factor: u32) -> bool {
        let tree = self.does("browsingContext.getTree", json!({"moz:scope": "chrome"}));
        let script = format!("data:,content.windowUtils.setResolutionAndScaleTo({factor})");
        let load =
            format!("gBrowser.selectedBrowser.messageManager.loadFrameScript({script:?}, false)");
        let params = json!({
            "expression": load,
            "target": {"context": tree["contexts"][0]["context"]},
            "awaitPromise": false,
        });
        self.does("script.evaluate", params);
        true
    }

    fn prepares(&self, script: &str) -> bool {
        let function = format!("() => {{ {script} }}");
        let params = json!({"functionDeclaration": function, "contexts": [self.context]});
        self.does("script.addPreloadScript", params);
        true
    }

    fn picture(&self, place: &Value) -> Option<String> {
        let mut clip = place.clone();
        clip["type"] = json!("box");
        let params = json!({"context": self.context, "clip": clip});
        let picture = self.does("browsingContext.captureScreenshot", params);
        picture["data"].as_str().map(str::to_string)
    }

    fn prints(&self) -> Option<String> {
        let paper = self.does("browsingContext.print", json!({"context": self.context}));
        paper["data"].as_str().map(str::to_string)
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        let params = json!({"userContext": self.person});
        let _ = self.run("browser.removeUserContext", params);
    }
}
