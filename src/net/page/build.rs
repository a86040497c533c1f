//! Builds the page's files into the binary: compressed, each with a tag that changes with its content.
//! The emoji table comes from the `emojis` crate, which follows GitHub's names. It also packs the
//! tables for names.

#[path = "../../chat/name/build.rs"]
mod names;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

const FOLDER: &str = "src/net/page";
const DOCUMENT: &str = "index.html";
const WORKER: &str = "sw.js";

fn main() {
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed=src/chat/name/build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    names::write(&out);
    if env::var_os("CARGO_FEATURE_FULL").is_none() {
        fs::write(out.join("page.rs"), "[]").expect("it can be written");
        return;
    }
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(FOLDER)
        .expect("the page's folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| content_type(path).is_some())
        .map(|path| {
            let name = path.file_name().expect("it is a file").to_string_lossy();
            let bytes = fs::read(&path).expect("it can be read");
            let is_text = [".html", ".css", ".js"]
                .iter()
                .any(|end| name.ends_with(end));
            // Others build on this module: its types are in its comments.
            let is_slim = is_text && name != "client.js";
            let bytes = if is_slim { slim(bytes) } else { bytes };
            (name.into_owned(), bytes)
        })
        .collect();
    files.push(("emoji.json".into(), emoji()));
    files.sort();
    let version = tag(kept(&files).as_bytes());
    // So it has another tag in each version, by which the service worker notices a new one.
    let end = format!("<!-- {version} -->\n");
    file(&mut files, DOCUMENT).extend(end.bytes());
    let head = format!(
        "const VERSION = \"{version}\";\nconst FILES = {};\n",
        kept(&files)
    );
    file(&mut files, WORKER).splice(..0, head.bytes());

    let mut table = String::from("[\n");
    for (name, bytes) in &files {
        let path = path(name);
        let content_type = content_type(Path::new(name)).expect("the others were left out");
        let tag = tag(bytes);
        let gzip = out.join(format!("{name}.gz"));
        fs::write(&gzip, compressed(bytes)).expect("OUT_DIR can be written");
        writeln!(
            table,
            "    File {{ path: \"/{path}\", content_type: \"{content_type}\", tag: \"W/\\\"{tag}\\\"\", \
             gzip: include_bytes!({gzip:?}) }},"
        )
        .expect("a String can be written");
    }
    table.push(']');
    fs::write(out.join("page.rs"), table).expect("OUT_DIR can be written");
}

fn path(name: &str) -> &str {
    if name == DOCUMENT { "" } else { name }
}

fn file<'a>(files: &'a mut [(String, Vec<u8>)], name: &str) -> &'a mut Vec<u8> {
    let file = files.iter_mut().find(|(other, _)| other == name);
    &mut file.expect("it is in the folder").1
}

fn tag(bytes: &[u8]) -> String {
    let bytes = &Sha256::digest(bytes)[..8];
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files that the service worker keeps, each with its tag, as JSON.
fn kept(files: &[(String, Vec<u8>)]) -> String {
    let is_kept = |name: &str| name != WORKER && !is_for_systems(Path::new(name));
    let files: BTreeMap<String, String> = files
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, bytes)| (format!("./{}", path(name)), tag(bytes)))
        .collect();
    serde_json::to_string(&files).expect("strings are JSON")
}

/// Whether it is an icon for a system where the page is installed, or the list of them.
fn is_for_systems(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("png" | "ico" | "webmanifest"))
}

fn content_type(path: &Path) -> Option<&'static str> {
    // There is also a picture for the README.
    if path.file_stem()? == "screenshot" {
        return None;
    }
    Some(match path.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

/// A file without indentation, and without the comments that have lines of their own. A template literal of
/// several lines can't hold what looks like one.
fn slim(bytes: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(bytes).expect("the page's files are text");
    let mut kept = String::new();
    let mut is_comment = false;
    for line in text.lines().map(str::trim) {
        is_comment |= line.starts_with("/*") || line.starts_with("<!--");
        if !is_comment && !line.is_empty() && !line.starts_with("//") {
            kept.extend([line, "\n"]);
        }
        is_comment &= !line.ends_with("*/") && !line.ends_with("-->");
    }
    kept.into_bytes()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a Vec can be written");
    encoder.finish().expect("a Vec can be written")
}

/// GitHub's names, each with its emoji, as one JSON object.
fn emoji() -> Vec<u8> {
    let named =
        emojis::iter().flat_map(|emoji| emoji.shortcodes().map(|name| (name, emoji.as_str())));
    let table: BTreeMap<&str, &str> = named.collect();
    serde_json::to_vec(&table).expect("strings are JSON")
}
