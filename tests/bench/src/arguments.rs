//! What the command line asks for.

use std::path::{Path, PathBuf};

const USAGE: &str =
    "usage: natterjack-bench [--data FOLDER] [--quick] [--row NAME] [--beside OLD] NATTERJACK
       natterjack-bench --others | --growth CHART.svg | --held idle|talk|deaf NATTERJACK";

/// What is measured.
#[derive(PartialEq)]
pub enum Work {
    /// The table, or a row of it.
    Rows,
    /// Other servers beside natterjack.
    Others,
    /// How the cost grows, with a chart.
    Growth(PathBuf),
    /// What it holds where it has little: `idle` peers, or `talk`.
    Held(String),
}

/// All that is asked for.
pub struct Arguments {
    pub work: Work,
    /// The binary.
    pub server: PathBuf,
    /// An older one, which runs in turn with it.
    pub beside: Option<PathBuf>,
    /// One row only.
    pub row: Option<String>,
    /// Short runs.
    pub quick: bool,
    /// A folder on the disk that is measured.
    pub data: PathBuf,
}

impl Arguments {
    /// Reads the command line without the program's name.
    pub fn read(words: &[String]) -> Result<Self, String> {
        let usage = || USAGE.to_owned();
        let mut asked = Self {
            work: Work::Rows,
            server: PathBuf::new(),
            beside: None,
            row: None,
            quick: false,
            data: Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        };
        let (server, options) = words.split_last().ok_or_else(usage)?;
        if server.starts_with('-') {
            return Err(usage());
        }
        asked.server = PathBuf::from(server);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().cloned().ok_or_else(usage);
            match option.as_str() {
                "--quick" => asked.quick = true,
                "--others" => asked.work = Work::Others,
                "--data" => asked.data = PathBuf::from(value()?),
                "--row" => asked.row = Some(value()?),
                "--beside" => asked.beside = Some(PathBuf::from(value()?)),
                "--growth" => asked.work = Work::Growth(PathBuf::from(value()?)),
                "--held" => asked.work = Work::Held(value()?),
                _ => return Err(usage()),
            }
        }
        Ok(asked)
    }
}
