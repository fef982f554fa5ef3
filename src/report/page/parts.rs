//! The six parts of a page that people look at rather than read.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::chart::{Plot, Size, bar};
use super::figures::{Figures, NOT_NOTED};
use super::outcomes::{Breakdown, Counts, STATUSES};
use super::window::WindowCount;
use crate::model::{Bucket, Status};
use crate::outside::Outside;
use crate::quota;
use crate::report::course::spent::{is_window, named_text};
use crate::report::course::summary::status_text;
use crate::report::results::writing::{ErrorGroup, ErrorKey};
use crate::words::{counted, describe_duration, group_digits, second};

const SMALL: Size = Size { width: 360.0, height: 150.0 };
const NARROW: Size = Size { width: 360.0, height: 220.0 };
const WIDE: Size = Size { width: 1000.0, height: 300.0 };
/// Causes that are shown, the most frequent first.
const SHOWN_CAUSES: usize = 20;
/// The colours of the parts of the time: each has one meaning, whatever else a run waited for.
const KNOWN_PARTS: [(&str, &str); 15] = [
    ("calls", "t0"),
    ("reading", "t1"),
    ("throttled", "t4"),
    ("outage", "t5"),
    ("retries", "t6"),
    ("sign_in", "t7"),
    ("own", "t8"),
    (NOT_NOTED, "t9"),
    ("pacing", "t12"),
    ("input", "t13"),
    ("results", "t14"),
    ("list_lag", "t15"),
    ("question", "t16"),
    ("other_run", "t17"),
    ("state", "t18"),
];
/// Those of the waits for the windows of the quota.
const WINDOWS: [&str; 4] = ["t2", "t3", "t10", "t11"];

/// 1. The calls in each window, all the time, against their limit.
pub(super) fn quota(figures: &Figures, time_zone: &TimeZone) -> Markup {
    let first = figures.sessions.first().map(|session| &session.limits);
    let is_changed = figures.sessions.iter().any(|session| Some(&session.limits) != first);
    html! {
        section {
            h2 { "Calls against the quota" }
            @if figures.calls.windows.is_empty() { p class="soft" { "No call was made." } }
            @else {
                p class="soft" { "At each moment, the calls that were let through in the window that ends there, by whatever program uses this state. Times in " (zone(figures, time_zone)) "." }
                @if is_changed { p class="soft" { "The quota was changed while the run was under way; the lines show the last one, and each call was held against its own." } }
                div class="plots" { @for count in &figures.calls.windows { (window(figures, count, time_zone)) } }
            }
        }
    }
}

fn window(figures: &Figures, count: &WindowCount, time_zone: &TimeZone) -> Markup {
    let limit = count.limit().map(u64::from);
    let peak = u64::from(count.peak);
    let highest = limit.unwrap_or(0).max(peak);
    let values: Vec<u64> = count.peaks.iter().map(|peak| u64::from(*peak)).collect();
    let plot = Plot::new(SMALL, figures.span, highest, time_zone);
    let (name, window) = (buckets_text(&count.buckets), quota::describe(count.window));
    let of_limit = limit.map(|limit| format!(" of {}", group_digits(limit))).unwrap_or_default();
    let most = format!("at most {}{of_limit} calls in {window}", group_digits(peak));
    html! {
        figure {
            figcaption { b { (name) } (capitalized(&most)) }
            (plot.picture("small", &format!("{name}: {most}"), &html! {
                (plot.steps(&values, "calls"))
                @if let Some(limit) = limit { (plot.limit(limit)) }
            }))
        }
    }
}

fn buckets_text(buckets: &[Bucket]) -> String {
    match buckets {
        [Bucket::Machines] => "Reading machines".to_owned(),
        [Bucket::Tags, Bucket::BulkTags] => "Tags".to_owned(),
        [Bucket::Tags] => "Single tags".to_owned(),
        [Bucket::BulkTags] => "Bulk tag calls".to_owned(),
        [Bucket::Value] => "Device values".to_owned(),
        _ => "All calls together".to_owned(),
    }
}

/// 2. Where the time went.
pub(super) fn time(figures: &Figures) -> Markup {
    let parts = figures.time();
    let whole: Duration = parts.iter().map(|(_, time)| *time).sum();
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut windows = WINDOWS.into_iter().cycle();
    let named: Vec<(&str, &str, Duration)> = parts
        .iter()
        .map(|(name, time)| {
            let known = KNOWN_PARTS.iter().find(|(known, _)| known == name).map(|(_, class)| *class);
            let window = || windows.next().filter(|_| is_window(name));
            (known.or_else(window).unwrap_or("t9"), name.as_str(), *time)
        })
        .collect();
    let text = |name: &str| if name == NOT_NOTED { not_noted(figures).to_owned() } else { named_text(name) };
    html! {
        section {
            h2 { "Where the time went" }
            @if named.is_empty() { p class="soft" { "Nothing was noted of it: the run was made by an older version, or was never carried out." } }
            @else {
                p class="soft" { (describe_duration(whole)) " in all" @if figures.sessions.len() > 1 { ", in " (figures.sessions.len()) " sessions" } "." }
                div class="timebar" { (bar(named.iter().map(|(class, _, time)| (*class, microseconds(*time))), microseconds(whole), "where the time went")) }
                table {
                    @for (class, name, time) in &named {
                        tr {
                            td class="s" { (swatch(class)) }
                            td { (capitalized(&text(name))) }
                            td class="n" { (duration_text(*time)) }
                            td class="n" { (percent(microseconds(*time), microseconds(whole))) }
                        }
                    }
                }
            }
        }
    }
}

const fn not_noted(figures: &Figures) -> &'static str {
    if figures.is_under_way() { "so far; told apart at the end" } else { "not noted, since its process died" }
}

/// 3. Operations that were done, against what was foretold.
pub(super) fn course(figures: &Figures, time_zone: &TimeZone) -> Markup {
    let foretold = figures.foretold();
    let done = figures.outcomes.course();
    let promised = foretold.iter().flatten().map(|(_, done)| *done).max().unwrap_or(0);
    let highest = figures.outcomes.for_calls.max(promised);
    let trouble = &figures.calls.trouble;
    let picture = |size: Size, class: &str| {
        let plot = Plot::new(size, figures.span, highest, time_zone);
        plot.picture(
            class,
            "operations that were done over time",
            &html! {
                (plot.shades(&trouble.throttling, "throttling"))
                (plot.shades(&trouble.outages, "outage"))
                (plot.steps(&done, "done"))
                @for course in &foretold { (plot.course(course, "foretold")) }
            },
        )
    };
    html! {
        section {
            h2 { "Operations done over time" }
            @if figures.outcomes.for_calls == 0 { p class="soft" { "No operation needed a call." } }
            @else {
                p class="soft" { (counted(figures.outcomes.for_calls, "operation", "operations")) " that needed a call, against the planned schedule. Times in " (zone(figures, time_zone)) "." }
                figure class="full" { (picture(NARROW, "narrow")) (picture(WIDE, "wide")) }
                ul class="key" {
                    li { (swatch("most")) "done" }
                    @if !foretold.is_empty() { li { (dashes()) "planned" } }
                    @if !trouble.throttling.is_empty() { li { (swatch("throttling")) "refused for quota (429): " (counted(trouble.throttled, "call", "calls")) } }
                    @if !trouble.outages.is_empty() { li { (swatch("outage")) "the service failed: " (counted(trouble.failed, "call", "calls")) } }
                }
            }
        }
    }
}

/// 4. What became of the operations.
pub(super) fn outcomes(figures: &Figures) -> Markup {
    let unknown = || "not listed, or without one".to_owned();
    let line = |name: &Option<String>| name.as_ref().map_or_else(unknown, |name| Outside::new(name).line());
    let all = &figures.outcomes.all;
    html! {
        section {
            h2 { "What became of the operations" }
            p class="soft" { (counted(all.iter().sum(), "operation answers ", "operations answer ")) (counted(figures.totals.rows, "row", "rows")) ": a row may ask for a tag and a value, and rows that ask for the same share one." }
            (key(all))
            h3 { "By tag and action" }
            (breakdown(&figures.changes, Clone::clone))
            @if let Some(groups) = &figures.groups { h3 { "By machine group" } (breakdown(groups, line)) }
            @if let Some(platforms) = &figures.platforms { h3 { "By platform" } (breakdown(platforms, line)) }
            @if figures.groups.is_none() { p class="soft" { "Groups and platforms are not known: the tenant's machines were not read." } }
        }
    }
}

fn breakdown<Name>(breakdown: &Breakdown<Name>, name: impl Fn(&Name) -> String) -> Markup {
    let sum = |counts: &Counts| counts.iter().sum::<u64>();
    let others =
        breakdown.others.iter().map(|(count, counts)| (format!("{} others", group_digits(*count as u64)), *counts));
    let lines: Vec<(String, Counts)> =
        breakdown.parts.iter().map(|part| (name(&part.name), part.counts)).chain(others).collect();
    let largest = lines.iter().map(|(_, counts)| sum(counts)).max().unwrap_or(0);
    html! {
        table class="outcomes" {
            @for (name, counts) in &lines {
                tr {
                    td { (name) }
                    td class="w" { (bar(STATUSES.map(Status::as_str).into_iter().zip(*counts), largest, &counts_text(counts))) }
                    td class="n" { (group_digits(sum(counts))) }
                }
            }
        }
    }
}

fn key(counts: &Counts) -> Markup {
    html! {
        ul class="key" {
            @for (status, count) in STATUSES.into_iter().zip(counts).filter(|(_, count)| **count > 0) {
                li { (swatch(status.as_str())) (status_text(status)) ": " (group_digits(*count)) }
            }
        }
    }
}

fn counts_text(counts: &Counts) -> String {
    let parts = STATUSES.into_iter().zip(counts).filter(|(_, count)| **count > 0);
    parts
        .map(|(status, count)| format!("{} {}", group_digits(*count), status_text(status)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// 5. Why rows are not done.
pub(super) fn causes(figures: &Figures) -> Markup {
    let mut causes: Vec<(&ErrorKey, &ErrorGroup)> = figures.totals.errors.iter().collect();
    causes.sort_by_key(|(key, group)| {
        (key.status == Status::NotAttempted, std::cmp::Reverse(group.rows), group.example_row)
    });
    let rest: u64 = causes.iter().skip(SHOWN_CAUSES).map(|(_, group)| group.rows).sum();
    html! {
        section {
            h2 { "Why rows are not done" }
            @if causes.is_empty() { p class="soft" { "Every row is done, or was left as it is on purpose." } }
            @else {
                table {
                    tr { th class="n" { "Rows" } th { "Cause" } th class="n" { "First row" } }
                    @for (key, group) in causes.iter().take(SHOWN_CAUSES) {
                        tr {
                            td class="n" { (group_digits(group.rows)) }
                            td {
                                b { (Outside::new(&key.code).line()) }
                                @if let Some(status) = key.http_status { " (HTTP " (status) ")" }
                                ", " (status_text(key.status)) ": " (Outside::new(&group.message).line())
                                @if let Some(hint) = figures.hint(key) { p class="soft" { "What to do: " (hint) "." } }
                            }
                            td class="n" { (group_digits(u64::from(group.example_row))) }
                        }
                    }
                }
                @if rest > 0 { p class="soft" { (counted(rest, "row", "rows")) " for other reasons; the results say which." } }
            }
        }
    }
}

/// 6. How long the service took to answer.
pub(super) fn answers(figures: &Figures) -> Markup {
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let slowest = figures.answers.iter().map(|answer| microseconds(answer.slowest)).max().unwrap_or(0);
    html! {
        section {
            h2 { "How long answers took" }
            @if figures.answers.is_empty() { p class="soft" { "No call was answered." } }
            @else {
                table class="answers" {
                    tr { th { "Call" } th class="n" { "Answers" } th class="n" { "Median" } th class="n" { "95 %" } th class="n" { "Slowest" } th class="w" {} }
                    @for answer in &figures.answers {
                        @let most = microseconds(answer.most);
                        tr {
                            td { (call_text(&answer.kind)) }
                            td class="n" { (group_digits(answer.answers)) }
                            td class="n" { (duration_text(answer.median)) }
                            td class="n" { (duration_text(answer.most)) }
                            td class="n" { (duration_text(answer.slowest)) }
                            td class="w" { (bar([("most", most), ("slow", microseconds(answer.slowest) - most)], slowest, "95 % of the answers, and the slowest")) }
                        }
                    }
                }
            }
        }
    }
}

fn call_text(kind: &str) -> Cow<'_, str> {
    let known = match kind {
        "list" => "Page of machines",
        "get" => "Single machine",
        "bulk" => "Tag in bulk",
        "tags" => "Single tag",
        "value" => "Device value",
        other => return Outside::new(other).line().into(),
    };
    known.into()
}

/// A duration with milliseconds where they matter.
fn duration_text(duration: Duration) -> String {
    if duration < Duration::from_secs(1) { format!("{} ms", duration.as_millis()) } else { describe_duration(duration) }
}

/// A share, to a tenth.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn swatch(class: &str) -> Markup {
    html! { svg class="swatch" viewBox="0 0 14 10" aria-hidden="true" { rect class=(class) width="14" height="10" {} } }
}

fn dashes() -> Markup {
    html! { svg class="swatch" viewBox="0 0 14 10" aria-hidden="true" { line class="line foretold" x1="0" x2="14" y1="5" y2="5" {} } }
}

/// The zone that times are in, as its abbreviation.
fn zone(figures: &Figures, time_zone: &TimeZone) -> String {
    let at = Timestamp::from_microsecond(figures.span.from()).unwrap_or_default();
    let text = second(at, time_zone);
    let (date, zone) = (text.split(' ').next().unwrap_or_default(), text.rsplit(' ').next().unwrap_or_default());
    format!("{zone}, from {date}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_time_has_a_colour_of_its_own() {
        let style = include_str!("style.css");
        let mut classes: Vec<&str> = KNOWN_PARTS.iter().map(|(_, class)| *class).chain(WINDOWS).collect();
        classes.sort_unstable();
        let mut colors = Vec::new();
        for class in &classes {
            assert!(style.contains(&format!(".{class} {{ fill: var(--{class}); }}")), "{class}");
            // For light and for dark.
            let name = format!("--{class}: ");
            let of_class = style.split(&name).skip(1).filter_map(|rest| rest.split(';').next());
            let of_class: Vec<&str> = of_class.collect();
            assert_eq!(of_class.len(), 2, "{class}");
            colors.push(of_class);
        }
        let is_alone = |items: &[&str]| items.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(is_alone(&classes), "{classes:?}");
        for scheme in 0..2 {
            let mut colors: Vec<&str> = colors.iter().map(|of_class| of_class[scheme]).collect();
            colors.sort_unstable();
            assert!(is_alone(&colors), "{colors:?}");
        }
        for name in [
            "calls",
            "throttled",
            "retries",
            "input",
            "reading",
            "list_lag",
            "outage",
            "sign_in",
            "question",
            "results",
        ] {
            assert!(KNOWN_PARTS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn a_kind_of_call_that_nobody_knows_is_shown_without_harm() {
        assert_eq!(call_text("value"), "Device value");
        assert!(!call_text("\u{1b}[31m\u{202e}x").contains(['\u{1b}', '\u{202e}']));
    }
}
