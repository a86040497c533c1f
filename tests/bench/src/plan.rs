//! How a row is run: several times, natterjack and what stands beside it in turn, so that ratios
//! compare neighbours in time. A run that others on the machine disturbed is repeated, once.

use std::path::PathBuf;
use std::time::Duration;

use crate::counts::Shape;
use crate::measure::{self, Churn, Fan, Heard, Pace, SIZE};
use crate::subject::{Setting, Subject};
use crate::table::DISTURBED;

/// How much is run.
#[derive(Clone)]
pub struct Plan {
    /// The release binary.
    pub server: PathBuf,
    /// A folder on the disk that is measured.
    pub data: PathBuf,
    /// The cores that may be used.
    pub cores: Vec<usize>,
    /// Idle peers: 10,000, or what the file limit allows.
    pub peers: usize,
    /// Runs of each row.
    pub runs: usize,
    /// How long each run of texts and of churn takes.
    pub time: Duration,
    /// Whether disturbed runs are repeated.
    pub patient: bool,
    /// How long idle peers are watched, and each rate of the journal is measured.
    pub hold: Duration,
}

impl Plan {
    /// Alone.
    pub fn natterjack(&self) -> Result<Subject, String> {
        self.natterjack_as(Setting::default())
    }

    /// Natterjack through a Redis on the same core.
    pub fn with_redis(&self) -> Result<Subject, String> {
        self.natterjack_as(Setting {
            redis: 1,
            ..Setting::default()
        })
    }

    /// Alone, without announcements of joins and leaves, like the limit.
    pub fn discreet(&self) -> Result<Subject, String> {
        self.natterjack_as(Setting {
            notices: false,
            ..Setting::default()
        })
    }

    /// In some other way.
    pub fn natterjack_as(&self, setting: Setting<'_>) -> Result<Subject, String> {
        Subject::natterjack(&self.server, setting, &self.cores)
    }

    /// The bare loop.
    pub fn limit(&self, batched: bool) -> Result<Subject, String> {
        Subject::limit(batched, &self.cores)
    }

    /// Runs both in turn.
    pub fn pairs<A, B>(
        &self,
        name: &str,
        ours: impl Fn() -> Result<A, String>,
        beside: impl Fn() -> Result<B, String>,
    ) -> Result<Vec<(A, B)>, String> {
        let run = |number: usize| {
            eprintln!("{name}: run {number} of {}", self.runs);
            Ok((ours()?, beside()?))
        };
        (1..=self.runs).map(run).collect()
    }

    /// Texts to the lobby for as long as planned: of one author at a pace, or of ten.
    pub fn fan(&self, peers: usize, pace: Pace) -> Fan {
        let authors = match pace {
            Pace::InFlight(_) => 10,
            Pace::PerSecond(_) => 1,
        };
        Fan {
            shape: Shape::lobby(peers, authors),
            size: SIZE,
            pace,
            time: self.time,
        }
    }

    /// One run of texts, with a server of its own.
    pub fn heard(
        &self,
        start: impl Fn() -> Result<Subject, String>,
        fan: &Fan,
    ) -> Result<Heard, String> {
        self.quiet(
            |heard: &Heard| heard.others,
            || measure::fan(&start()?, fan),
        )
    }

    /// One run of churn, with a server of its own.
    pub fn churned(&self, start: impl Fn() -> Result<Subject, String>) -> Result<Churn, String> {
        self.quiet(
            |churn: &Churn| churn.others,
            || measure::churn(&start()?, self.time),
        )
    }

    /// Repeats what others disturbed, once, and takes the quieter run.
    fn quiet<T>(
        &self,
        others: impl Fn(&T) -> f64,
        run: impl Fn() -> Result<T, String>,
    ) -> Result<T, String> {
        let first = run()?;
        if others(&first) <= DISTURBED || !self.patient {
            return Ok(first);
        }
        eprintln!("  others used {:.0} % of a core: once more", others(&first));
        let second = run()?;
        Ok(if others(&second) < others(&first) {
            second
        } else {
            first
        })
    }
}
