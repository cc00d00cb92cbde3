//! Small charts as inline SVG.
//!
//! # Invariants
//!
//! - Colours come from the classes of the page, so that both of its schemes fit.
//!
//! Tested below and by `report/tests.rs`.

use std::fmt::Write as _;

/// Width and height of a chart, and the margins that hold its scales, in user units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// A line of a chart; a missing value breaks it.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// CSS class that gives the colour.
    pub(super) class: &'static str,
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// Lines over seconds, with marked events.
pub(super) fn lines(title: &str, unit: &str, lines: &[Line], marks: &[(f64, String)]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let from = all().map(|point| point.0).fold(f64::INFINITY, f64::min).min(0.0);
    let to = all().map(|point| point.0).fold(from + 1.0, f64::max);
    let top = nice(all().filter_map(|point| point.1).fold(0.0, f64::max));
    let x = |at: f64| LEFT + (at - from) / (to - from) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    let mut svg = open(title, unit, lines);
    scale(&mut svg, top, y);
    let step = nice((to - from) / 8.0).max(1.0);
    let mut at = (from / step).ceil() * step;
    while at <= to {
        let _ = write!(
            svg,
            "<text class=\"scale\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{} s</text>",
            x(at),
            HEIGHT - 8.0,
            // Without the sign of a zero that was reached from below.
            at.round() as i64
        );
        at += step;
    }
    for (at, label) in marks {
        let _ = write!(
            svg,
            "<line class=\"mark\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1:.1}\"/>\
             <text class=\"mark\" x=\"{2:.1}\" y=\"{3:.1}\">{4}</text>",
            x(*at),
            HEIGHT - BOTTOM,
            x(*at) + 3.0,
            TOP + 8.0,
            escape(label)
        );
    }
    for line in lines {
        let _ = write!(svg, "<path class=\"{}\" d=\"{}\"/>", line.class, path(&line.points, x, y));
    }
    svg.push_str("</svg></figure>");
    svg
}

/// One bar a trial; a missing value is drawn as a full bar of its own colour.
pub(super) fn bars(title: &str, unit: &str, values: &[Option<f64>]) -> String {
    let top = nice(values.iter().flatten().copied().fold(0.0, f64::max));
    let width = (WIDTH - LEFT - RIGHT) / values.len().max(1) as f64;
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    let mut svg = open(title, unit, &[]);
    scale(&mut svg, top, y);
    for (number, value) in values.iter().enumerate() {
        let left = LEFT + width * number as f64;
        let (class, height) = match value {
            Some(value) => ("bar", *value),
            None => ("bar never", top),
        };
        let told = value.map_or("never".to_owned(), |value| format!("{value:.0} {unit}"));
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\">\
             <title>trial {}: {told}</title></rect>\
             <text class=\"scale\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left + width * 0.15,
            y(height),
            width * 0.7,
            (HEIGHT - BOTTOM - y(height)).max(1.0),
            number + 1,
            left + width / 2.0,
            HEIGHT - 8.0,
            number + 1
        );
    }
    svg.push_str("</svg></figure>");
    svg
}

fn open(title: &str, unit: &str, lines: &[Line]) -> String {
    let mut keys = String::new();
    for line in lines {
        let _ = write!(keys, " <span class=\"key {}\">{}</span>", line.class, escape(line.name));
    }
    format!(
        "<figure><figcaption>{} <small>{}</small>{keys}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(title),
        escape(unit),
        escape(title)
    )
}

fn scale(svg: &mut String, top: f64, y: impl Fn(f64) -> f64) {
    for part in [0.0, 0.5, 1.0] {
        let value = top * part;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>\
             <text class=\"scale\" text-anchor=\"end\" x=\"{2:.1}\" y=\"{3:.1}\">{4}</text>",
            WIDTH - RIGHT,
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            if top < 4.0 { format!("{value:.1}") } else { format!("{value:.0}") }
        );
    }
}

fn path(points: &[(f64, Option<f64>)], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (at, value) in points {
        if let Some(value) = value {
            let command = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{command}{:.1} {:.1}", x(*at), y(*value));
            if !pen_down {
                // A point alone would be invisible.
                path.push_str("h0.1");
            }
        }
        pen_down = value.is_some();
    }
    path
}

/// The next of 1, 2 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| value <= factor * power);
    factor.unwrap_or(10.0) * power
}

/// Text that cannot end an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        let cases =
            [(0.0, 1.0), (0.3, 0.5), (1.0, 1.0), (37.0, 50.0), (99.0, 100.0), (600.0, 1000.0)];
        for (value, expected) in cases {
            assert!((nice(value) - expected).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn a_missing_value_breaks_the_line() {
        let points = [(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(1.0))];
        let path = path(&points, |x| x, |y| y);
        assert_eq!(path, "M0.0 1.0h0.1L1.0 2.0M3.0 1.0h0.1");
    }

    #[test]
    fn labels_are_escaped() {
        let svg = lines("a<b", "ms", &[], &[(0.0, "x&\"y".into())]);
        assert!(svg.contains("a&lt;b") && svg.contains("x&amp;&quot;y"));
        assert!(svg.ends_with("</svg></figure>"));
    }
}
