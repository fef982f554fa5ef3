//! Pictures with a time axis, as SVG: no script, no font, no style of their own. Colours come from the page by class.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::axis::{round_numbers, round_times, short_number};
use super::span::{BINS, Span};
use super::trouble::Stretch;
use crate::words::group_digits;

/// Room for the numbers at the left, and beyond the last time at the right.
const LEFT: f64 = 44.0;
const RIGHT: f64 = 26.0;
/// Room for what is written above the highest line, and for the times below.
const TOP: f64 = 18.0;
const BOTTOM: f64 = 26.0;
/// What a time along the axis takes, with the gap to the next.
const LABEL_WIDTH: f64 = 62.0;
/// A stretch that is shorter could not be seen.
const NARROWEST: f64 = 1.5;

/// The size of a picture, in pixels of the page where nothing scales it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A picture of values over a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plot<'a> {
    size: Size,
    span: Span,
    /// The highest value that has a place.
    highest: u64,
    time_zone: &'a TimeZone,
}

impl<'a> Plot<'a> {
    pub(super) fn new(size: Size, span: Span, highest: u64, time_zone: &'a TimeZone) -> Self {
        Self { size, span, highest: highest.max(1), time_zone }
    }

    /// The whole picture with what is drawn into it; `description` is for whoever cannot see it.
    pub(super) fn picture(&self, class: &str, description: &str, inside: &Markup) -> Markup {
        let Size { width, height } = self.size;
        html! {
            svg class=(class) viewBox={ "0 0 " (number(width)) " " (number(height)) } role="img" aria-label=(description) {
                (inside)
                (self.axes())
            }
        }
    }

    fn axes(&self) -> Markup {
        let (right, bottom) = (self.size.width - RIGHT, self.size.height - BOTTOM);
        let most = rounded(((right - LEFT) / LABEL_WIDTH).floor()).max(2);
        html! {
            @for value in round_numbers(self.highest, 4) {
                line class="grid" x1=(number(LEFT)) x2=(number(right)) y1=(number(self.y(value))) y2=(number(self.y(value))) {}
                text class="axis" x=(number(LEFT - 6.0)) y=(number(self.y(value) + 4.0)) text-anchor="end" { (short_number(value)) }
            }
            @for (at, label) in round_times(self.span, most, self.time_zone) {
                line class="tick" x1=(number(self.x(at))) x2=(number(self.x(at))) y1=(number(bottom)) y2=(number(bottom + 4.0)) {}
                text class="axis" x=(number(self.x(at))) y=(number(bottom + 18.0)) text-anchor="middle" { (label) }
            }
        }
    }

    /// Steps of a value for each piece of the span, as a line and what lies below it.
    pub(super) fn steps(&self, values: &[u64], class: &str) -> Markup {
        let bottom = number(self.size.height - BOTTOM);
        let mut path = String::new();
        let mut last = None;
        for (bin, value) in values.iter().enumerate() {
            if last == Some(value) {
                continue;
            }
            let (x, y) = (number(self.bin_x(bin)), number(self.y(*value)));
            let command = if last.is_none() { format!("M{x} {y}") } else { format!("H{x}V{y}") };
            path.push_str(&command);
            last = Some(value);
        }
        // Writing into a string cannot fail.
        let _written = write!(path, "H{}", number(self.bin_x(BINS)));
        html! {
            path class={ "area " (class) } d={ (path) "V" (bottom) "H" (number(LEFT)) "Z" } {}
            path class={ "line " (class) } d=(path) {}
        }
    }

    /// A line through these points, cut off where the picture ends.
    pub(super) fn course(&self, points: &[(i64, u64)], class: &str) -> Markup {
        let mut path = String::new();
        let mut earlier: Option<(i64, u64)> = None;
        for (at, value) in points {
            let command = if earlier.is_none() { 'M' } else { 'L' };
            let (at, value, is_last) = match earlier {
                Some((from, low)) if *at > self.span.to() => {
                    let part = i128::from(self.span.to() - from) * i128::from(value - low) / i128::from(at - from);
                    (self.span.to(), low + u64::try_from(part).unwrap_or(0), true)
                }
                _ => (*at, *value, false),
            };
            // Writing into a string cannot fail.
            let _written = write!(path, "{command}{} {}", number(self.x(at)), number(self.y(value)));
            if is_last {
                break;
            }
            earlier = Some((at, value));
        }
        html! { path class={ "line " (class) } d=(path) {} }
    }

    /// A limit, which is named above its line.
    pub(super) fn limit(&self, value: u64) -> Markup {
        let (right, y) = (self.size.width - RIGHT, self.y(value));
        html! {
            line class="limit" x1=(number(LEFT)) x2=(number(right)) y1=(number(y)) y2=(number(y)) {}
            text class="limit-name" x=(number(right)) y=(number(y - 5.0)) text-anchor="end" { "limit " (group_digits(value)) }
        }
    }

    /// Shades stretches of time.
    pub(super) fn shades(&self, stretches: &[Stretch], class: &str) -> Markup {
        let height = self.size.height - BOTTOM - TOP;
        html! {
            @for (from, to) in stretches {
                @let (from, to) = (self.x(*from), self.x(*to));
                rect class=(class) x=(number(from)) y=(number(TOP)) height=(number(height)) width=(number((to - from).max(NARROWEST))) {}
            }
        }
    }

    fn x(&self, at: i64) -> f64 {
        let at = at.clamp(self.span.from(), self.span.to());
        let part = approximately(at - self.span.from()) / approximately(self.span.to() - self.span.from());
        LEFT + part * (self.size.width - LEFT - RIGHT)
    }

    fn bin_x(&self, bin: usize) -> f64 {
        self.x(self.span.start(bin))
    }

    fn y(&self, value: u64) -> f64 {
        let height = self.size.height - TOP - BOTTOM;
        let part = approximately(i64::try_from(value).unwrap_or(i64::MAX))
            / approximately(i64::try_from(self.highest).unwrap_or(i64::MAX));
        self.size.height - BOTTOM - part.min(1.0) * height
    }
}

/// How long a bar is, and its thinnest part that an eye still sees.
const LENGTH: f64 = 1000.0;
const THINNEST: f64 = 2.0;

/// A bar of parts side by side, as wide as there is room; `whole` is what would fill it.
pub(super) fn bar<'a>(parts: impl IntoIterator<Item = (&'a str, u64)>, whole: u64, description: &str) -> Markup {
    let scale = |value: u64| {
        approximately(i64::try_from(value).unwrap_or(i64::MAX)) * LENGTH
            / approximately(i64::try_from(whole.max(1)).unwrap_or(i64::MAX))
    };
    let parts = parts.into_iter().filter(|(_, value)| *value > 0);
    let parts: Vec<(&str, f64)> = parts.map(|(class, value)| (class, scale(value).max(THINNEST))).collect();
    // What the thinnest take beyond their share is taken from the others, or the last would lie outside.
    let (thin, broad): (Vec<f64>, Vec<f64>) =
        parts.iter().map(|(_, width)| *width).partition(|width| *width <= THINNEST);
    let shrunk = ((LENGTH - thin.iter().sum::<f64>()) / broad.iter().sum::<f64>().max(THINNEST)).min(1.0);
    let mut begin = 0.0;
    let mut placed = Vec::new();
    for (class, width) in parts {
        let width = if width <= THINNEST { width } else { width * shrunk };
        placed.push((class, begin, width));
        begin += width;
    }
    html! {
        svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(description) {
            @for (class, begin, width) in placed {
                rect class=(class) x=(number(begin)) y="0" width=(number(width)) height="10" {}
            }
        }
    }
}

/// A coordinate, to a tenth.
fn number(value: f64) -> String {
    let tenths = format!("{value:.1}");
    tenths.strip_suffix(".0").unwrap_or(&tenths).to_owned()
}

/// For a picture; beyond 2^53 it is inexact, which no eye sees.
#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
const fn approximately(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a count of labels")]
const fn rounded(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn plot(zone: &TimeZone) -> Plot<'_> {
        let moment = |second: i64| Timestamp::from_second(second).expect("a moment");
        Plot::new(Size { width: 384.0, height: 144.0 }, Span::new(moment(0), moment(320)), 100, zone)
    }

    #[test]
    fn a_line_goes_through_its_points_and_ends_with_the_picture() {
        let zone = TimeZone::UTC;
        let plot = plot(&zone);
        let mut values = vec![0; BINS];
        values[160..].fill(100);
        let steps = plot.steps(&values, "c").into_string();
        // From the left to the middle at the bottom, then at the top to the right.
        assert!(steps.contains(r#"class="line c" d="M44 118H201V18H358""#), "{steps}");
        let course = plot.course(&[(0, 0), (160_000_000, 40), (480_000_000, 80)], "c").into_string();
        assert!(course.contains(r#"d="M44 118L201 78L358 58""#), "{course}");
        assert!(plot.limit(100).into_string().contains("limit 100"));
        let shades = plot.shades(&[(0, 160_000_000), (320_000_000, 320_000_000)], "s").into_string();
        assert!(shades.contains(r#"x="44" y="18" height="100" width="157""#), "{shades}");
    }

    #[test]
    fn parts_of_a_bar_lie_side_by_side() {
        let bar = bar([("a", 1), ("b", 0), ("c", 3)], 8, "x").into_string();
        assert!(
            bar.contains(r#"class="a" x="0" y="0" width="125""#)
                && bar.contains(r#"class="c" x="125" y="0" width="375""#)
        );
        assert!(!bar.contains(r#"class="b""#));
    }

    #[test]
    fn parts_too_thin_to_be_seen_are_made_visible_and_stay_within_the_bar() {
        let parts = [("a", 1), ("b", 1_000_000), ("c", 500_000), ("d", 1), ("e", 2), ("f", 3)];
        let bar = bar(parts, 1_500_007, "x").into_string();
        let all = |attribute: &str| -> Vec<f64> {
            let texts = bar.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
            texts.map(|text| text.parse().expect("a number")).collect()
        };
        let (places, widths) = (all(" x=\""), all(" width=\""));
        assert_eq!((places.len(), widths.len()), (6, 6), "{bar}");
        assert!(widths.iter().all(|width| *width >= 2.0), "{bar}");
        for (place, (width, next)) in places.iter().zip(widths.iter().zip(places.iter().skip(1).chain([&1000.0]))) {
            assert!((place + width - next).abs() < 0.3, "{bar}");
        }
    }
}
