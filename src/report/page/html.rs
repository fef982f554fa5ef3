//! The page as HTML: everything in one file, which asks nobody for anything. A policy in it forbids whatever it does not need,
//! so that a text from outside could do nothing even if it came through as more than text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::figures::Figures;
use super::parts;
use super::verdict::{Verdict, quota_text};
use crate::model::Status;
use crate::outside::{Outside, shown};
use crate::report::course::advice::split_advice;
use crate::report::course::summary::status_text;
use crate::words::{group_digits, second};

/// How every page begins, which tells it from files of others.
pub(super) const MARK: &str = "<!DOCTYPE html><!-- A report of tagfleet -->";
const COMMENT: PreEscaped<&str> = PreEscaped("<!-- A report of tagfleet -->");
const STYLE: &str = include_str!("style.css");
/// Characters of a digest that tell one input from another.
const DIGEST_CHARACTERS: usize = 16;

/// The whole page.
pub(super) fn page(figures: &Figures, time_zone: &TimeZone) -> String {
    let run_id = shown(&figures.details.entry.run_id);
    let page = html! {
        (DOCTYPE)
        (COMMENT)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Run " (run_id) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (verdict(figures, &run_id))
                    (rows(figures))
                    (about(figures, time_zone))
                    (parts::quota(figures, time_zone))
                    (parts::time(figures))
                    (parts::course(figures, time_zone))
                    (parts::outcomes(figures))
                    (parts::causes(figures))
                    (parts::answers(figures))
                    footer { "Made by tagfleet " (env!("CARGO_PKG_VERSION")) " on " (second(figures.made_at, time_zone)) ". Made again at any time: " code { "tagfleet report " (run_id) (shown(&figures.repeated_options)) } }
                }
            }
        }
    };
    page.into_string()
}

fn policy() -> String {
    format!("default-src 'none'; style-src 'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE)))
}

fn verdict(figures: &Figures, run_id: &str) -> Markup {
    let verdict = Verdict::of(figures);
    html! {
        header class={ "verdict " (verdict.tone.as_str()) } {
            p class="brow" { "Run " (run_id) @if figures.is_sandbox { ", a rehearsal" } }
            h1 { (verdict.headline) "." }
            @for text in &verdict.more { p { (text) } }
            @if let Some((is_kept, text)) = quota_text(figures) {
                p class=(if is_kept { "kept" } else { "broken" }) { (text) }
            }
        }
    }
}

/// The rows by status; they add up to those of the input.
fn rows(figures: &Figures) -> Markup {
    html! {
        ul class="tiles" {
            li { b { (group_digits(figures.totals.rows)) } span { "rows, of which" } }
            @for status in Status::ALL {
                @let count = figures.totals.count(status);
                @if count > 0 {
                    li class=(status.as_str()) { b { (group_digits(count)) } span { (status_text(status)) } }
                }
            }
        }
    }
}

fn about(figures: &Figures, time_zone: &TimeZone) -> Markup {
    let run = &figures.details.entry;
    let digest: String = figures.input_digest.chars().take(DIGEST_CHARACTERS).collect();
    let mut versions: Vec<&str> = figures.sessions.iter().map(|session| session.version.as_str()).collect();
    versions.dedup();
    let times = |time: Timestamp| second(time, time_zone);
    let process = |(number, host)| format!("{number} on {}", Outside::new(host).line());
    let processes: Vec<String> = figures.processes().into_iter().map(process).collect();
    let facts = [
        ("Input", shown(&run.input_path)),
        ("Digest of its rows", shown(&digest)),
        ("Note", run.note.as_deref().map(shown).unwrap_or_default()),
        ("Tenant", Outside::new(&run.tenant).line()),
        ("App", Outside::new(&run.app).line()),
        ("API host", Outside::new(&run.host).line()),
        ("Started", times(run.created_at)),
        ("Last activity", times(run.last_activity_at)),
        ("Process", processes.join(", ")),
        ("State", figures.server.as_deref().map(shown).unwrap_or_default()),
        ("Version", Outside::new(versions.join(", ")).line()),
    ];
    html! {
        div class="about" {
            dl {
                @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                    div { dt { (name) } dd { (value) } }
                }
            }
            @if let Some(next) = &figures.next { p class="next" { (next_text(next)) } }
            @else if !figures.is_under_way() { p class="next soft" { "Nothing is left to do." } }
        }
    }
}

/// The advice with its command set apart.
fn next_text(next: &str) -> Markup {
    let (words, command) = split_advice(next);
    html! { (words) " " code { (command) } }
}
