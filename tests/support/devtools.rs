//! Chromium without a window, and the protocol of its developer tools over pipes: JSON, each message
//! with a zero byte after it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer may take: a page with a thousand messages is slow on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `$0` is the folder of its profile. It reads commands from file descriptor 3, writes answers to 4,
/// and ends when 3 is closed: at the latest with the process of the tests.
const LAUNCH: &str =
    r#"chromium --user-data-dir="$0" "$@" 3<&0 4>&1 0</dev/null 1>&0 2>&0; rm -rf "$0""#;

const FLAGS: [&str; 18] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--window-size=1280,800",
    // Certificates of tests are from a CA of their own.
    "--ignore-certificate-errors",
    "--disable-quic",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    // Each tab has a window of its own. It needs no pages of the browser's own and no spare process:
    // they cost more than the pages of most tests.
    "--disable-features=PreloadTopChromeWebUI,WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess",
    "--no-first-run",
    // No page of a test is in the background.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-hang-monitor",
];

type Waiting = Arc<Mutex<BTreeMap<u64, Sender<Value>>>>;

/// A running chromium.
struct DevTools {
    commands: Mutex<(u64, ChildStdin)>,
    /// Who waits for the answer to each command.
    waiting: Waiting,
}

/// A tab with storage of its own; closed when dropped.
pub struct Tab {
    context: Value,
    session: Value,
}

impl DevTools {
    /// The one that all tests of a process share. It starts when the first needs it.
    fn get() -> &'static DevTools {
        static SHARED: OnceLock<DevTools> = OnceLock::new();
        SHARED.get_or_init(DevTools::start)
    }

    fn start() -> DevTools {
        let profile = tempfile::tempdir().unwrap().keep();
        let mut chromium = Command::new("sh")
            .args(["-c", LAUNCH])
            .arg(profile)
            .args(FLAGS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = Mutex::new((0, chromium.stdin.take().unwrap()));
        let answers = BufReader::new(chromium.stdout.take().unwrap()).split(0);
        let waiting = Waiting::default();
        let told = waiting.clone();
        std::thread::spawn(move || {
            for answer in answers.map_while(Result::ok) {
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                // An event has no number. A page that asks whether to leave it is told yes.
                if answer["method"] == "Page.javascriptDialogOpening" {
                    let params = json!({"accept": true});
                    DevTools::get().send(
                        &answer["sessionId"],
                        "Page.handleJavaScriptDialog",
                        params,
                    );
                }
                if let Some(number) = answer["id"].as_u64()
                    && let Some(asker) = told.lock().unwrap().remove(&number)
                {
                    let _ = asker.send(answer);
                }
            }
            // Those who wait need not wait for the deadline.
            told.lock().unwrap().clear();
            let _ = chromium.wait();
        });
        DevTools { commands, waiting }
    }

    /// Sends a command, to a tab or to the browser. The answer comes over the channel.
    fn send(&self, session: &Value, method: &str, params: Value) -> Receiver<Value> {
        let (asker, answer) = channel();
        let (number, pipe) = &mut *self.commands.lock().unwrap();
        *number += 1;
        self.waiting.lock().unwrap().insert(*number, asker);
        let mut command = json!({"id": *number, "method": method, "params": params});
        if !session.is_null() {
            command["sessionId"] = session.clone();
        }
        // If it has ended, nobody answers.
        let _ = write!(pipe, "{command}\0");
        answer
    }

    /// Runs a command and returns its result.
    fn run(&self, session: &Value, method: &str, params: Value) -> Result<Value, String> {
        let answer = self.send(session, method, params);
        let mut answer = answer.recv_timeout(PATIENCE).map_err(|error| {
            format!("{method}: {error}; chromium must be installed: apt-get install chromium")
        })?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}")),
            None => Ok(answer["result"].take()),
        }
    }
}

impl Tab {
    /// Opens an empty one.
    pub fn open() -> Tab {
        let run = |method: &str, params: Value| {
            let result = DevTools::get().run(&Value::Null, method, params);
            result.unwrap_or_else(|error| panic!("{error}"))
        };
        let context = run("Target.createBrowserContext", json!({}))["browserContextId"].take();
        let params = json!({"url": "about:blank", "browserContextId": context});
        let target = run("Target.createTarget", params)["targetId"].take();
        let params = json!({"targetId": target, "flatten": true});
        let session = run("Target.attachToTarget", params)["sessionId"].take();
        let tab = Tab { context, session };
        // Without this, a question of a page is heard by nobody.
        tab.does("Page.enable", json!({}));
        // Or else only one tab of all would have the focus.
        let params = json!({"enabled": true});
        tab.does("Emulation.setFocusEmulationEnabled", params);
        tab
    }

    /// Runs a command in it.
    pub fn run(&self, method: &str, params: Value) -> Result<Value, String> {
        DevTools::get().run(&self.session, method, params)
    }

    /// Runs an expression in the service worker of its pages.
    #[track_caller]
    pub fn does_in_worker(&self, expression: &str) -> Value {
        let run = |session: &Value, method: &str, params: Value| {
            let result = DevTools::get().run(session, method, params);
            result.unwrap_or_else(|error| panic!("{error}"))
        };
        let targets = run(&Value::Null, "Target.getTargets", json!({}));
        let is_ours = |target: &&Value| {
            target["type"] == "service_worker" && target["browserContextId"] == self.context
        };
        let targets = targets["targetInfos"].as_array().expect("a list");
        let worker = targets.iter().find(is_ours).expect("a service worker");
        let params = json!({"targetId": worker["targetId"], "flatten": true});
        let session = run(&Value::Null, "Target.attachToTarget", params)["sessionId"].take();
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        run(&session, "Runtime.evaluate", params)["result"]["value"].take()
    }

    /// Lets its pages do something that a browser would ask its user for.
    pub fn grants(&self, permission: &str) {
        let params = json!({"permissions": [permission], "browserContextId": self.context});
        let granted = DevTools::get().run(&Value::Null, "Browser.grantPermissions", params);
        granted.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub fn does(&self, method: &str, params: Value) -> Value {
        match self.run(method, params) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        let params = json!({"browserContextId": self.context});
        let _ = DevTools::get().run(&Value::Null, "Target.disposeBrowserContext", params);
    }
}
