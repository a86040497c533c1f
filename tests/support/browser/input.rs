//! The keyboard and the mouse of a page.

use serde_json::{Value, json};

use super::{Browser, Driver, Page};

const SHIFT: char = '\u{e008}';
const CONTROL: char = '\u{e009}';
const ENTER: char = '\u{e006}';

/// Presses these keys one after another in the focused element.
fn press(tab: &dyn Driver, keys: &str) {
    let press = |key: char| match key {
        '\n' => together(SHIFT, ENTER),
        key => vec![action("keyDown", key), action("keyUp", key)],
    };
    acts(tab, keys.chars().flat_map(press).collect());
}

fn together(first: char, second: char) -> Vec<Value> {
    vec![
        action("keyDown", first),
        action("keyDown", second),
        action("keyUp", second),
        action("keyUp", first),
    ]
}

fn action(kind: &str, key: char) -> Value {
    json!({"type": kind, "value": key.to_string()})
}

fn acts(tab: &dyn Driver, actions: Vec<Value>) {
    tab.acts(json!({"type": "key", "id": "keyboard", "actions": actions}));
}

impl Page {
    /// Types into the focused element.
    pub fn types(&self, text: &str) {
        for letter in text.chars() {
            self.insert(&letter.to_string());
        }
    }

    /// Puts a text into the focused element, as if it were pasted.
    pub fn insert(&self, text: &str) {
        if let Browser::Other(tab) = &self.0 {
            return press(&**tab, text);
        }
        self.chromium()
            .does("Input.insertText", json!({"text": text}));
    }

    /// Presses a key in the focused element.
    pub fn key(&self, key: &str) {
        // The number and the text of the event, and the character that means the key in WebDriver.
        let (code, text, character) = match key {
            "Enter" => (13, "\r", "\u{e006}"),
            "Escape" => (27, "", "\u{e00c}"),
            "Delete" => (46, "", "\u{e017}"),
            "Tab" => (9, "", "\u{e004}"),
            "ArrowUp" => (38, "", "\u{e013}"),
            "ArrowDown" => (40, "", "\u{e015}"),
            _ => panic!("no test has pressed {key} yet"),
        };
        if let Browser::Other(tab) = &self.0 {
            return press(&**tab, character);
        }
        let kind = if text.is_empty() {
            "rawKeyDown"
        } else {
            "keyDown"
        };
        for (kind, text) in [(kind, text), ("keyUp", "")] {
            let params = json!({"type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
            self.chromium().does("Input.dispatchKeyEvent", params);
        }
    }

    /// Presses Control and C.
    pub fn copies(&self) {
        self.shortcut("copy", 'c');
    }

    /// Presses Control and V.
    pub fn pastes(&self) {
        self.shortcut("paste", 'v');
    }

    fn shortcut(&self, command: &str, key: char) {
        if let Browser::Other(tab) = &self.0 {
            return acts(&**tab, together(CONTROL, key));
        }
        let params = json!({"type": "keyDown", "key": "Unidentified", "commands": [command]});
        self.does("Input.dispatchKeyEvent", params);
    }

    /// Lets the mouse do this (`pointerMove`, `pointerDown`, `pointerUp`) at a place: x and y in CSS pixels.
    #[track_caller]
    pub fn mouse(&self, kind: &str, place: &Value) {
        let (x, y) = (&place["x"], &place["y"]);
        if let Browser::Other(tab) = &self.0 {
            let there = json!({"type": "pointerMove", "x": x, "y": y});
            let mut actions = vec![there];
            if kind != "pointerMove" {
                actions.push(json!({"type": kind, "button": 0}));
            }
            return tab.acts(json!({"type": "pointer", "id": "mouse", "actions": actions}));
        }
        let (kind, button) = match kind {
            "pointerMove" => ("mouseMoved", "none"),
            "pointerDown" => ("mousePressed", "left"),
            _ => ("mouseReleased", "left"),
        };
        let params = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1});
        self.chromium().does("Input.dispatchMouseEvent", params);
    }
}
