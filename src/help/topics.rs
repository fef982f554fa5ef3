//! The topics of the manual, and their list.

use std::fmt::Write as _;

/// When the manual was last changed, for the pages of the system's manual.
pub(crate) const MANUAL_DATE: &str = "2026-11-26";

/// One page of the manual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    /// What comes after `tagfleet help`.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub summary: &'static str,
    /// The page, as Markdown.
    pub text: &'static str,
}

macro_rules! topics {
    ($($name:literal: $summary:literal,)+) => {
        [$(Topic { name: $name, summary: $summary, text: include_str!(concat!($name, ".md")) },)+]
    };
}

/// The topics, in the order in which a newcomer meets them.
pub(crate) const TOPICS: [Topic; 23] = topics! {
    "sign-in": "registering an app, methods of signing in, clouds, proxies",
    "check": "what is looked at before a run, and how a check ends",
    "input": "columns, machines, dialects, what is read, doubtful or refused",
    "filters": "which rows and machines are meant: operators, functions, examples",
    "exports": "lists of machines with a change on the command line, @tenant, workbooks",
    "planning": "what apply would do, how few calls it takes, limits",
    "results": "the columns, statuses and codes of a results file",
    "report": "a page about a run: quota, time, outcomes, causes",
    "statuses": "exit statuses, and what to do about each",
    "profiles": "settings in a file, where each is from, several tenants",
    "unattended": "cron, systemd, the JSON summary, deadlines",
    "metrics": "metrics for Prometheus, alerts, pings to a watching service",
    "quotas": "how the quota is kept, and what a 429 does",
    "failures": "errors, retries, outages, interrupts, storage trouble",
    "runs": "resuming a run, several runs at once, the state directory",
    "state": "a state in PostgreSQL that several hosts share",
    "undo": "taking a run back",
    "rules": "a fleet kept as declared: files of rules, guards, ownership",
    "tags": "the tenant's tags: listing, renaming, removing them",
    "reading": "verify and inventory: looking without changing",
    "packages": "installing, upgrading, containers, licences",
    "sandbox": "rehearsals, and the simulated API for other clients",
    "security": "what is protected, against whom, and what is not",
};

/// The topic of this name, whatever its case.
pub(crate) fn topic(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name.eq_ignore_ascii_case(name))
}

/// The list of topics, one a line.
pub(crate) fn list() -> String {
    let mut list = String::new();
    for Topic { name, summary, .. } in TOPICS {
        let _infallible = writeln!(list, "  {name:<11} {summary}");
    }
    list
}
