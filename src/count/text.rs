//! The text format 0.0.4 of Prometheus:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{Display, Write};

use super::{Counters, Histogram};

/// The content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Microseconds in seconds. Without floating-point numbers: formatting these would be as large as
/// all the rest of this.
pub fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A page of metrics that is being written.
#[derive(Debug, Default)]
pub struct MetricsText(String);

// Writing to a String can't fail, so the results are ignored below.
impl MetricsText {
    /// Begins a family of this kind: `counter`, `gauge` or `histogram`. Its samples follow.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes a sample. Labels contain no quotes, backslashes or line ends, since all are our own.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &dyn Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// Writes a gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: usize) {
        self.family(name, "gauge", help);
        self.sample(name, &[], &value);
    }

    /// Writes a counter.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], &value);
    }

    /// Writes a family of counters, one for each value of a label.
    pub fn counters(&mut self, name: &str, help: &str, label: &str, counters: &Counters) {
        self.family(name, "counter", help);
        for (value, count) in counters.all() {
            self.sample(name, &[(label, value)], &count);
        }
    }

    /// Writes a histogram; `unit` writes a bound and the sum. While other threads count, the buckets
    /// may be a little older than the sum.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        values: &Histogram,
        unit: fn(u64) -> String,
    ) {
        self.family(name, "histogram", help);
        let (bucket, mut count) = (format!("{name}_bucket"), 0);
        let bounds = values.bounds.iter().map(|bound| unit(*bound));
        for (bound, values) in bounds.chain(["+Inf".into()]).zip(&values.counts) {
            count += values.get();
            self.sample(&bucket, &[("le", &bound)], &count);
        }
        self.sample(&format!("{name}_sum"), &[], &unit(values.sum.get()));
        self.sample(&format!("{name}_count"), &[], &count);
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
        let mut text = MetricsText::default();
        text.counter("a_total", "All.", 3);
        text.family("b", "gauge", "Some.");
        text.sample("b", &[("x", "1"), ("y", "z")], &5);
        let values = Histogram::new(&[250, 1000]);
        for value in [250, 1000, 2_000_000] {
            values.record(value);
        }
        text.histogram("c_seconds", "Long.", &values, seconds);
        let page = "# HELP a_total All.\n# TYPE a_total counter\na_total 3\n\
            # HELP b Some.\n# TYPE b gauge\nb{x=\"1\",y=\"z\"} 5\n\
            # HELP c_seconds Long.\n# TYPE c_seconds histogram\n\
            c_seconds_bucket{le=\"0.000250\"} 1\nc_seconds_bucket{le=\"0.001000\"} 2\n\
            c_seconds_bucket{le=\"+Inf\"} 3\nc_seconds_sum 2.001250\nc_seconds_count 3\n";
        assert_eq!(text.done(), page);
    }
}
