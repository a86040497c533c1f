//! How a page looks, on the screen and on paper.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::inflate::decompress_to_vec_zlib;
use serde_json::{Value, json};

use super::{Browser, Page};

fn decoded(base64: &Value) -> Vec<u8> {
    STANDARD
        .decode(base64.as_str().expect("it is base64"))
        .unwrap()
}

impl Page {
    /// A picture of it as PNG.
    pub fn picture(&self) -> Vec<u8> {
        decoded(&self.does("Page.captureScreenshot", json!({}))["data"])
    }

    /// A picture of an element as PNG. `None` where the browser takes none.
    #[track_caller]
    pub fn picture_of(&self, element: &str) -> Option<Vec<u8>> {
        let mut place = self.value(&format!(
            "(({{ x, y, width, height }}) => ({{ x, y, width, height }}))({element}.getBoundingClientRect())"
        ));
        if let Browser::Other(tab) = &self.0 {
            return tab.picture(&place).map(|data| decoded(&json!(data)));
        }
        place["scale"] = json!(1);
        let picture = self.does("Page.captureScreenshot", json!({"clip": place}));
        Some(decoded(&picture["data"]))
    }

    /// In how many places two pictures of the same size clearly differ. The same page may be painted a little
    /// differently.
    #[track_caller]
    pub fn pixels_that_differ(&self, one: &[u8], other: &[u8]) -> u64 {
        let [one, other] = [one, other].map(|picture| STANDARD.encode(picture));
        let count = self.runs(&format!(
            "const [one, other] = await Promise.all(['{one}', '{other}'].map(async (data) => {{
                const bytes = Uint8Array.from(atob(data), (byte) => byte.charCodeAt());
                const picture = await createImageBitmap(new Blob([bytes]));
                const canvas = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
                canvas.drawImage(picture, 0, 0);
                return canvas.getImageData(0, 0, picture.width, picture.height).data;
            }}));
            return one.filter((value, at) => Math.abs(value - other[at]) > 64).length;"
        ));
        count.as_u64().unwrap_or_else(|| panic!("{count}"))
    }

    /// It on paper, as the text of a PDF. `None` where the browser does not print.
    pub fn paper(&self) -> Option<String> {
        let mut pdf = match &self.0 {
            Browser::Other(tab) => decoded(&json!(tab.prints()?)),
            _ => decoded(&self.does("Page.printToPDF", json!({}))["data"]),
        };
        // Some browsers compress all of it.
        let streams: Vec<Vec<u8>> = pdf
            .windows(7)
            .enumerate()
            .filter(|(_, word)| *word == b"stream\n")
            .filter_map(|(at, _)| decompress_to_vec_zlib(&pdf[at + 7..]).ok())
            .collect();
        pdf.extend(streams.concat());
        Some(String::from_utf8_lossy(&pdf).into_owned())
    }
}
