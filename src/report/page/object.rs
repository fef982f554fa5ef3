//! The numbers of a page as an object for scripts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::figures::Figures;
use super::outcomes::{Breakdown, Counts, STATUSES};
use super::trouble::Stretch;
use super::verdict::{Verdict, quota_text};
use super::window::WindowCount;
use crate::model::{Bucket, Status};
use crate::outside::Outside;
use crate::report::course::advice::split_advice;
use crate::report::course::summary::cause_object;
use crate::report::output::frame::{joined, written};

/// The object, but for what every one of them has.
pub(super) fn object(figures: &Figures) -> Value {
    let run = &figures.details.entry;
    let verdict = Verdict::of(figures);
    let statuses: BTreeMap<&str, u64> =
        Status::ALL.into_iter().map(|status| (status.as_str(), figures.totals.count(status))).collect();
    let trouble = &figures.calls.trouble;
    json!({
        "run_id": run.run_id,
        "kind": run.kind,
        "state": run.condition.as_str(),
        "undone_by": figures.details.undone_by,
        "verdict": { "tone": verdict.tone.as_str(), "text": verdict.headline, "more": verdict.more },
        "quota_kept": quota_text(figures).map(|(is_kept, _)| is_kept),
        "input": run.input_path,
        "input_digest": figures.input_digest,
        "note": run.note,
        "tenant": run.tenant,
        "app": run.app,
        "host": run.host,
        "server": figures.server,
        "processes": figures.processes().into_iter().map(|(id, host)| json!({ "id": id, "host": host })).collect::<Vec<_>>(),
        "begun_at": written(run.created_at),
        "last_activity_at": written(run.last_activity_at),
        "rows": figures.totals.rows,
        "status": statuses,
        "next": figures.next.as_deref().map(|next| split_advice(next).1),
        "calls": figures.calls.of_kinds,
        "throttled": trouble.throttled,
        "quota": figures.calls.windows.iter().map(|count| window(figures, count)).collect::<Vec<_>>(),
        "time": figures.time().into_iter().map(|(part, time)| json!({ "part": part, "seconds": time.as_secs_f64() })).collect::<Vec<_>>(),
        "course": course(figures),
        "operations": counts(&figures.outcomes.all),
        "by_change": breakdown(&figures.changes, |name| Some(name.clone())),
        "by_group": figures.groups.as_ref().map(|groups| breakdown(groups, Clone::clone)),
        "by_platform": figures.platforms.as_ref().map(|platforms| breakdown(platforms, Clone::clone)),
        "answers": answers(figures),
    })
}

fn moment(at: i64) -> String {
    written(Timestamp::from_microsecond(at).unwrap_or_default())
}

fn window(figures: &Figures, count: &WindowCount) -> Value {
    json!({
        "buckets": count.buckets.iter().map(|bucket| bucket_name(*bucket)).collect::<Vec<_>>(),
        "window_seconds": count.window.as_secs_f64(),
        "limit": count.limit(),
        "calls": count.calls,
        "most": count.peak,
        "most_at": moment(count.peak_at),
        "beyond": count.beyond,
        "from": moment(figures.span.from()),
        "to": moment(figures.span.to()),
        "most_in_each_piece": count.peaks,
    })
}

const fn bucket_name(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Machines => "machines",
        Bucket::Tags => "tags",
        Bucket::BulkTags => "bulk_tags",
        Bucket::Value => "value",
    }
}

fn course(figures: &Figures) -> Value {
    let stretches = |stretches: &[Stretch]| {
        stretches.iter().map(|(from, to)| json!({ "from": moment(*from), "to": moment(*to) })).collect::<Vec<_>>()
    };
    let point = |(at, done): &(i64, u64)| json!({ "at": moment(*at), "done": done });
    let foretold = figures.foretold();
    json!({
        "operations": figures.outcomes.for_calls,
        "from": moment(figures.span.from()),
        "to": moment(figures.span.to()),
        "done_after_each_piece": figures.outcomes.course(),
        "foretold": foretold.iter().map(|course| course.iter().map(point).collect::<Vec<_>>()).collect::<Vec<_>>(),
        "throttled": stretches(&figures.calls.trouble.throttling),
        "outages": stretches(&figures.calls.trouble.outages),
    })
}

fn counts(counts: &Counts) -> BTreeMap<&'static str, u64> {
    STATUSES.into_iter().map(Status::as_str).zip(*counts).collect()
}

fn breakdown<Name>(breakdown: &Breakdown<Name>, name: impl Fn(&Name) -> Option<String>) -> Value {
    let shown = |name: String| Outside::new(name).json();
    let parts = breakdown.parts.iter();
    json!({
        "parts": parts.map(|part| json!({ "name": name(&part.name).map(shown), "status": counts(&part.counts) })).collect::<Vec<_>>(),
        "others": breakdown.others.as_ref().map(|(number, all)| json!({ "count": number, "status": counts(all) })),
    })
}

/// Why rows are not done.
pub(super) fn causes(figures: &Figures) -> Vec<Value> {
    let causes = figures.totals.errors.iter();
    causes.map(|(key, group)| joined(cause_object((key, group)), json!({ "hint": figures.hint(key) }))).collect()
}

fn answers(figures: &Figures) -> Vec<Value> {
    let answers = figures.answers.iter();
    answers
        .map(|answer| {
            json!({
                "kind": answer.kind,
                "answers": answer.answers,
                "median_seconds": answer.median.as_secs_f64(),
                "seconds_of_95_percent": answer.most.as_secs_f64(),
                "slowest_seconds": answer.slowest.as_secs_f64(),
            })
        })
        .collect()
}
