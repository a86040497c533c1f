//! A chart as SVG: panels with logarithmic axes, each point with its figure.

use std::fmt::Write as _;

/// Of one panel, in pixels.
const WIDE: f64 = 400.0;
const HIGH: f64 = 230.0;
/// Around the plot: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (48.0, 24.0, 46.0, 38.0);
/// Above the panels.
const HEAD: f64 = 34.0;

/// One curve.
pub struct Panel {
    /// What the horizontal axis counts.
    pub across: String,
    /// What was the same for all points.
    pub note: String,
    /// From left to right; all are greater than 0.
    pub points: Vec<(f64, f64)>,
}

/// Panels two by two, with the same vertical axis.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let all = panels.iter().flat_map(|panel| &panel.points);
    let (low, high) = all.fold((f64::MAX, f64::MIN), |(low, high), (_, y)| {
        (low.min(y.log10()), high.max(y.log10()))
    });
    let (low, high) = (low.floor(), high.ceil());
    let tall = HEAD + HIGH * panels.len().div_ceil(2) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {tall}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#333\">\n\
         <title>{title}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"600\">{title}</text>\n",
        2.0 * WIDE
    );
    for (number, panel) in panels.iter().enumerate() {
        let (column, row) = ((number % 2) as f64, (number / 2) as f64);
        // Writing to a String can't fail.
        let _ = writeln!(
            out,
            "<g transform=\"translate({},{})\">\n{}</g>",
            column * WIDE,
            HEAD + row * HIGH,
            draw(panel, low, high)
        );
    }
    out + "</svg>\n"
}

fn draw(panel: &Panel, low: f64, high: f64) -> String {
    let (left, right, top, bottom) = MARGINS;
    let first = panel.points.first().map_or(1.0, |point| point.0).log10();
    let last = panel.points.last().map_or(10.0, |point| point.0).log10();
    // The first point's figure stands clear of the axis'.
    let (from, to) = (left + 16.0, WIDE - right - 8.0);
    let across = |x: f64| from + (x.log10() - first) / (last - first) * (to - from);
    let up = |y: f64| HIGH - bottom - (y - low) / (high - low) * (HIGH - top - bottom);
    let mut out = format!(
        "<text x=\"{left}\" y=\"20\" font-weight=\"600\">{}</text>\n\
         <text x=\"{left}\" y=\"34\" fill=\"#777\">{}</text>\n",
        panel.across, panel.note
    );
    let mut decade = low;
    while decade <= high {
        let (y, label) = (up(decade), 10_f64.powf(decade));
        let _ = writeln!(
            out,
            "<path d=\"M{left} {y:.1}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\" fill=\"#777\">{label}</text>",
            WIDE - right,
            left - 6.0,
            y + 4.0
        );
        decade += 1.0;
    }
    let line: Vec<String> = panel
        .points
        .iter()
        .map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(y.log10())))
        .collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#3a7d44\" stroke-width=\"2\"/>",
        line.join(" ")
    );
    for (x, y) in &panel.points {
        let (at, over) = (across(*x), up(y.log10()));
        let _ = writeln!(
            out,
            "<circle cx=\"{at:.1}\" cy=\"{over:.1}\" r=\"3\" fill=\"#3a7d44\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#777\">{}</text>",
            over - 8.0,
            figure(*y),
            HIGH - bottom + 16.0,
            thousands(*x as u64)
        );
    }
    out
}

/// Two digits that count.
fn figure(y: f64) -> String {
    match y {
        10.0.. => format!("{y:.0}"),
        1.0.. => format!("{y:.1}"),
        0.1.. => format!("{y:.2}"),
        _ => format!("{y:.3}"),
    }
}

fn thousands(number: u64) -> String {
    match number {
        10_000.. => format!("{},{:03}", number / 1000, number % 1000),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greater_is_higher_and_further_right() {
        let panel = Panel {
            across: "peers".to_owned(),
            note: String::new(),
            points: vec![(1.0, 0.1), (100.0, 10.0)],
        };
        let drawn = draw(&panel, -1.0, 1.0);
        assert!(
            drawn.contains("points=\"64.0,192.0 368.0,46.0\""),
            "{drawn}"
        );
        assert!(svg("a title", &[panel]).ends_with("</g>\n</svg>\n"));
    }
}
