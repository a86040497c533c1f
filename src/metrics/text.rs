//! The text format 0.0.4 of Prometheus:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

use crate::count::Distribution;

/// What the format is called.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family measures.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
    /// How many values lie where.
    Histogram,
}

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub struct Text(String);

// Writing to a String can't fail, so what it returns is of no interest below.
impl Text {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample. Labels hold no quotes, backslashes and line ends: they are all our own.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// A family of one gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: usize) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value as f64);
    }

    /// A family of one counter.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help);
        self.sample(name, &[], value as f64);
    }

    /// A family of one histogram. What is recorded is told in units of `unit`.
    pub fn histogram(&mut self, name: &str, help: &str, values: &Distribution, unit: f64) {
        self.family(name, Kind::Histogram, help);
        let bucket = format!("{name}_bucket");
        // Rounded to what was meant: 250 * 1e-6 is not quite 0.00025.
        let told = |bound: u64| (bound as f64 * unit * 1e9).round() / 1e9;
        for (bound, count) in &values.buckets {
            self.sample(&bucket, &[("le", &told(*bound).to_string())], *count as f64);
        }
        self.sample(&bucket, &[("le", "+Inf")], values.count as f64);
        self.sample(&format!("{name}_sum"), &[], told(values.sum));
        self.sample(&format!("{name}_count"), &[], values.count as f64);
    }

    /// The page.
    pub fn done(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_the_format_wants() {
        let mut text = Text::default();
        text.counter("a_total", "All.", 3);
        text.family("b", Kind::Gauge, "Some.");
        text.sample("b", &[("x", "1"), ("y", "z")], 0.5);
        let values = Distribution {
            buckets: vec![(250, 1), (1000, 2)],
            count: 3,
            sum: 2_001_250,
        };
        text.histogram("c_seconds", "Long.", &values, 1e-6);
        let page = "# HELP a_total All.\n# TYPE a_total counter\na_total 3\n\
            # HELP b Some.\n# TYPE b gauge\nb{x=\"1\",y=\"z\"} 0.5\n\
            # HELP c_seconds Long.\n# TYPE c_seconds histogram\n\
            c_seconds_bucket{le=\"0.00025\"} 1\nc_seconds_bucket{le=\"0.001\"} 2\n\
            c_seconds_bucket{le=\"+Inf\"} 3\nc_seconds_sum 2.00125\nc_seconds_count 3\n";
        assert_eq!(text.done(), page);
    }
}
